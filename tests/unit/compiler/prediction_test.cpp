// What the compiler expects of labels and scores.
#include "compiler/prediction.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "compiler/lower.h"
#include "graph/calibrate.h"
#include "support/network_builder.h"
#include "support/values.h"

namespace sotto::compiler {
namespace {

using test::NetworkBuilder;

Calibration images_for(const graph::Network& network, unsigned seed, double size = 1) {
  std::vector<std::vector<double>> images;
  for (unsigned k = 0; k < 64; ++k) images.push_back(test::random_values(network.input_shape().size(), seed + k, size));
  return calibration_from(std::move(images));
}

graph::Network squares(int outputs) {
  NetworkBuilder b({2, 8, 8}, 3);
  b.dense(b.mean(b.square(b.conv(0, 4, 3, 1, 1))), outputs);
  return b.network;
}

TEST(Prediction, AgreesWhereErrorsAreSmall) {
  for (int outputs : {1, 4}) {
    const graph::Network network = squares(outputs);
    const Calibration calibration = images_for(network, 1);
    const plan::Prediction p = predict(compile(network, {}).plan, calibration, reference_of(network, calibration));
    EXPECT_EQ(p.images, 64);
    EXPECT_GT(p.label_agreement, 0.99) << outputs;
    EXPECT_LT(p.score_error, 0.01 * p.spread) << outputs;
  }
}

// A network with a single score has labels, too: the side of a threshold on which it lies.
TEST(Prediction, NoticesWrongScores) {
  for (int outputs : {1, 4}) {
    const graph::Network network = squares(outputs);
    const Calibration calibration = images_for(network, 1);
    Reference of_others = reference_of(network, calibration);
    std::ranges::rotate(of_others.scores, of_others.scores.begin() + 1);
    const plan::Prediction p = predict(compile(network, {}).plan, calibration, of_others);
    EXPECT_LT(p.label_agreement, 0.8) << outputs;
    EXPECT_GT(p.score_error, p.spread / 2) << outputs;
    const double fine = of_others.score_error_for(0.999), coarse = of_others.score_error_for(0.9);
    EXPECT_GT(fine, 0) << outputs;
    EXPECT_LE(fine, coarse) << outputs;
    EXPECT_LT(fine, of_others.spread) << outputs;
  }
}

// Margins 0.1, 0.2, .. 20, but for some that are next to nothing.
Reference with_close_calls(std::size_t close) {
  Reference r;
  r.spread = 1000;
  for (std::size_t k = 0; k < 200; ++k) r.scores.push_back({k < close ? 1e-5 : 0.1 * static_cast<double>(k + 1), 0});
  return r;
}

TEST(Prediction, OneCloseCallOfFewImagesIsChanceManyAreNot) {
  // With an error of e in each of two scores a part of sqrt(2) e / sqrt(2 pi) per unit of margin is lost: 10 of 200.
  const double wanted = 0.005, evenly = with_close_calls(0).score_error_for(1 - wanted);
  EXPECT_NEAR(evenly, wanted * 200 / 10 * std::sqrt(std::numbers::pi), 0.01 * evenly);
  EXPECT_NEAR(with_close_calls(1).score_error_for(1 - wanted), evenly, 0.01 * evenly);
  EXPECT_LT(with_close_calls(8).score_error_for(1 - wanted), 1e-3 * evenly) << "half of eight are lost, one is allowed";
}

// Two equal scores: rounding decides which of them is the label, so about half of those labels are another one.
TEST(Prediction, LabelsThatRoundingDecidesCountAsTheyComeOut) {
  graph::Network network = squares(4);
  auto& dense = std::get<graph::Dense>(network.nodes.back().op);
  const auto in = static_cast<std::ptrdiff_t>(dense.in);
  std::copy_n(dense.weights.begin(), in, dense.weights.begin() + in);
  dense.bias[1] = dense.bias[0];
  Calibration calibration = images_for(network, 1);
  const plan::Plan plan = compile(network, {}).plan;
  const Reference reference = reference_of(network, calibration);
  ASSERT_GT(reference.ties(), 0.2);
  const double agreement = predict(plan, calibration, reference).label_agreement;
  EXPECT_NEAR(agreement, 1 - reference.ties() / 2, 0.25);
  EXPECT_LT(agreement, 0.97);
  calibration.made_up = true;  // which may leave a network without an opinion where real images do not
  EXPECT_GT(predict(plan, calibration, reference).label_agreement, 0.97);
}

TEST(Prediction, ImagesThatLeaveARangeDoNotCount) {
  NetworkBuilder b({2, 8, 8}, 2);
  b.dense(b.mean(b.relu(b.conv(0, 4, 3, 1, 1))), 3);
  Calibration calibration = images_for(b.network, 1);
  graph::set_ranges(b.network, graph::magnitudes(b.network, calibration.images));
  const plan::Plan plan = compile(b.network, {}).plan;
  Calibration lively = images_for(b.network, 1, 100);
  EXPECT_EQ(predict(plan, lively, reference_of(b.network, lively)).images, 0);
  EXPECT_EQ(predict(plan, calibration, reference_of(b.network, calibration)).images, 64);
}

// The sum over a map leaves sums over parts of it in other slots. They are far larger than it where its terms cancel,
// and a polynomial of them would spoil the whole batch.
TEST(Prediction, ActivationsBehindADenseLayerReadNothingElse) {
  NetworkBuilder b({2, 8, 8}, 2);
  const int dense = b.dense(b.square(b.conv(0, 4, 3, 1, 1)), 6);
  b.dense(b.relu(dense), 3);
  auto& weights = std::get<graph::Dense>(b.network.nodes[static_cast<std::size_t>(dense)].op).weights;
  for (std::size_t k = 0; k < weights.size(); ++k) weights[k] = k / 32 % 2 == 0 ? 0.5 : -0.5;  // by halves of a channel
  Calibration calibration = images_for(b.network, 1);
  graph::set_ranges(b.network, graph::magnitudes(b.network, calibration.images));
  const plan::Prediction p = predict(compile(b.network, {}).plan, calibration, reference_of(b.network, calibration));
  EXPECT_EQ(p.images, 64);
  EXPECT_GT(p.label_agreement, 0.9);
}

}  // namespace
}  // namespace sotto::compiler
