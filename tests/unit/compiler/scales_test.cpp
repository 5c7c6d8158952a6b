// Scales by channel, extra primes, and what they are predicted to do to the scores.
#include "compiler/scales.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "circuit/interpret.h"
#include "compiler/compile.h"
#include "compiler/key_tiers.h"
#include "compiler/levels.h"
#include "compiler/pack.h"
#include "compiler/prediction.h"
#include "compiler/weight_errors.h"
#include "graph/interpreter.h"
#include "plan/client_spec.h"
#include "plan/noise.h"
#include "plan/schedule.h"
#include "support/network_builder.h"
#include "support/values.h"

namespace sotto::compiler {
namespace {

using test::NetworkBuilder;

// Two squares and a last layer; the first layer times s, the second over s^2.
graph::Network scaled(double s) {
  NetworkBuilder b({2, 8, 8}, 3);
  const int x = b.conv(0, 4, 3, 1, 1), y = b.conv(b.square(x), 4, 3, 2, 1);
  b.dense(b.mean(b.square(y)), 3);
  auto& first = std::get<graph::Conv2d>(b.network.nodes[static_cast<std::size_t>(x)].op);
  for (double& v : first.weights) v *= s;
  for (double& v : first.bias) v *= s;
  for (double& v : std::get<graph::Conv2d>(b.network.nodes[static_cast<std::size_t>(y)].op).weights) v /= s * s;
  return b.network;
}

Calibration images() {
  std::vector<std::vector<double>> list;
  for (unsigned seed = 0; seed < 16; ++seed) list.push_back(test::random_values(128, seed, 1));
  return calibration_from(std::move(list));
}

Compiled compiled(const graph::Network& network, double score_error = HUGE_VAL) {
  return compile(measured_circuit(network, images()), {.score_error = score_error});
}

TEST(Scales, ALayerScaledAndTheNextByItsInverseGiveTheSamePlan) {
  const Compiled plain = compiled(scaled(1));
  for (double s : {0x1p-10, 0.2, 5.0, 0x1p10}) {
    const Compiled other = compiled(scaled(s));
    EXPECT_NEAR(other.score_error / plain.score_error, 1, 0.02) << s;
    EXPECT_EQ(other.plan.parameters.ciphertext_primes, plain.plan.parameters.ciphertext_primes);
    const auto image = images().images.front();
    EXPECT_LT(
        test::relative_error(circuit::interpret(plan::view(other.plan), image), graph::evaluate(scaled(s), image)),
        1e-9);
  }
}

TEST(Scales, InputsThatHardlyMatterAreStillSeen) {
  graph::Network network = scaled(1);
  for (graph::Node& node : network.nodes)
    if (auto* layer = std::get_if<graph::Conv2d>(&node.op))
      for (double& v : layer->weights) v *= 1e-30;
  const Compiled faint = compiled(network);
  EXPECT_GT(faint.plan.input().scale, 0x1p15);
  EXPECT_NO_THROW(plan::verify(plan::client_part(faint.plan)));
}

TEST(Scales, ExtraPrimesBringTheErrorThatIsAskedFor) {
  const double before = compiled(scaled(1)).score_error;
  for (double times : {4.0, 100.0}) {
    const Compiled finer = compiled(scaled(1), before / times);
    EXPECT_LE(finer.score_error, before / times);
    EXPECT_EQ(ckks::Parameters::create(finer.plan.parameters).security_bits(), 128);
  }
}

// A sum that no prime divides is not rounded, but copies of it that are rotated are.
TEST(Scales, UndividedSumsErrWhereTheyAreRotated) {
  const MeasuredCircuit measured = measured_circuit(scaled(1), images());
  plan::Plan p = pack(measured.circuit, {8, 1});
  p.parameters.log_n = kLogN;
  p.steps[0].kind = plan::Kind::sum;
  p.steps[0].late = 0;
  ASSERT_TRUE(assign_levels(p));
  for (std::size_t t = 0; t < p.tensors.size(); ++t) p.tensors[t].moments = measured.statistics.moments[t];
  const auto errors = weight_errors(p, plan::weight_noise(p, plan::make_schedule(p)));
  const auto variance = [&](double rotated) {
    std::vector<double> share(p.tensors.size());
    share[static_cast<std::size_t>(p.steps[0].output)] = rotated;
    return choose_scales(p, measured.statistics, errors, share, ckks::primes_of(p.parameters)).total_variance();
  };
  EXPECT_GT(variance(1), variance(0));
}

TEST(Prediction, ErrorsAreThoseThatScalesWereChosenFor) {
  const graph::Network network = scaled(1);
  const Compiled c = compiled(network);
  const Calibration calibration = images();
  const Reference reference = reference_of(network, calibration);
  const plan::Prediction p = predict(c.plan, calibration, reference);
  EXPECT_EQ(p.images, 16);
  EXPECT_LT(p.score_error, 3 * c.score_error);
  EXPECT_GT(p.score_error, c.score_error / 3);
  const plan::Prediction again = predict(c.plan, calibration, reference);
  EXPECT_EQ(p.score_error, again.score_error) << "whatever threads do";
}

TEST(Prediction, ByVariancesIsOfTheSameSize) {
  const graph::Network network = scaled(1);
  const Compiled c = compiled(network);
  const Calibration calibration = images();
  const Reference reference = reference_of(network, calibration);
  const double exact = predict(c.plan, calibration, reference).score_error;
  const plan::Prediction p = predict_by_variances(c, calibration, reference);
  EXPECT_EQ(p.images, 16);
  EXPECT_LT(p.score_error, 3 * exact);
  EXPECT_GT(p.score_error, exact / 3);
  EXPECT_EQ(p.score_error, predict_by_variances(c, calibration, reference).score_error) << "whatever threads do";
}

TEST(Prediction, LabelsAreLostWhereErrorsExceedMargins) {
  const graph::Network network = scaled(1);
  Compiled c = compiled(network);
  const Calibration calibration = images();
  const Reference reference = reference_of(network, calibration);
  EXPECT_GT(predict(c.plan, calibration, reference).label_agreement, 0.9);
  // Whatever class wins on most images must lose.
  const std::vector<double>& scores = reference.scores.front();
  c.plan.steps.back().bias[static_cast<std::size_t>(std::ranges::max_element(scores) - scores.begin())] -= 1e6;
  EXPECT_LT(predict(c.plan, calibration, reference).label_agreement, 0.9);
}

TEST(Prediction, TighterAgreementWantsSmallerErrors) {
  Reference r;
  r.spread = 1000;
  for (int k = 1; k <= 100; ++k) r.scores.push_back({0.01 * k, 0});
  EXPECT_LT(r.score_error_for(0.999), r.score_error_for(0.99));
  EXPECT_LT(r.score_error_for(0.99), r.score_error_for(0.9));
  r.spread = 0.01;
  EXPECT_EQ(r.score_error_for(0.5), 0.01 / 320) << "errors stay a small part of the spread";
}

}  // namespace
}  // namespace sotto::compiler
