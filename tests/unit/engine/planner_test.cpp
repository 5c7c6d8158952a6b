// Which packing, or mix of packings, serves a number of images, and with what precision.
#include "engine/planner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "plan/cost.h"
#include "support/expect_error.h"
#include "support/network_builder.h"

namespace sotto::engine {
namespace {

using test::NetworkBuilder;

// Two convolutions of 32 x 32 pixels, a mean and a fully connected layer.
graph::Network network() {
  NetworkBuilder b({3, 32, 32}, 4);
  b.dense(b.mean(b.square(b.conv(b.square(b.conv(0, 8, 3, 1, 1)), 8, 3, 1, 1))), 4);
  return b.network;
}

MeasuredNetwork measured(graph::Network network, double agreement = 0.995) {
  compiler::Calibration images = compiler::made_up_calibration(compiler::interface_of(network));
  return measure(std::move(network), std::move(images), agreement);
}

// Predicted time of a packing with no more precision than comes for nothing, as packings are compared.
double seconds(const graph::Network& network, const plan::Plan& packing, std::size_t images) {
  const plan::Plan p = compiler::compile(network, {.batch = packing.batch, .group = packing.group()}).plan;
  const double runs = std::ceil(static_cast<double>(images) / p.batch);
  return runs * plan::estimate(p).seconds(plan::kTypicalSpeed);
}

TEST(Planner, PartsServeAllImagesAndCostLessThanOnePacking) {
  const graph::Network net = network();
  const Planner planner(measured(net));
  bool mixed = false;
  for (int images : {1, 2, 3, 37, 64, 65, 300, 1000, 1100, 5000}) {
    const std::vector<Part> parts = planner.parts(images);
    ASSERT_GE(parts.size(), 1u);
    ASSERT_LE(parts.size(), 2u);
    std::size_t sum = 0;
    double time = 0;
    for (const Part& p : parts) {
      EXPECT_GT(p.images, 0u);
      sum += p.images;
      time += seconds(net, p.plan, p.images);
    }
    EXPECT_EQ(sum, static_cast<std::size_t>(images));
    const plan::Plan alone = planner.plan(images);
    EXPECT_LE(time, seconds(net, alone, sum) * (1 + 1e-9)) << images;
    if (parts.size() == 1) continue;
    mixed = true;
    EXPECT_EQ(parts[0].images % static_cast<std::size_t>(parts[0].plan.batch), 0u) << "full runs first";
    EXPECT_LT(time, seconds(net, alone, sum) * 0.96) << "a second packing is worth it";
  }
  EXPECT_TRUE(mixed);
}

TEST(Planner, NoPackingOfItsKindIsCheaper) {
  const graph::Network net = network();
  const Planner planner(measured(net));
  std::vector<plan::Plan> others;
  for (int batch : {1, 65, 1025}) others.push_back(compiler::compile(net, {.batch = batch}).plan);
  for (int group : {2, 64}) others.push_back(compiler::compile(net, {.batch = 1, .group = group}).plan);
  others.push_back(compiler::compile(net, {.batch = 64, .group = 4}).plan);  // of a smaller tile
  for (int images : {1, 64, 4096}) {
    const plan::Plan best = planner.plan(images);
    for (const plan::Plan& other : others)
      if ((other.group() > 1) == (best.group() > 1))
        EXPECT_LE(seconds(net, best, static_cast<std::size_t>(images)),
                  seconds(net, other, static_cast<std::size_t>(images)) * (1 + 1e-9))
            << images << " images, batch " << other.batch << ", group " << other.group();
  }
}

// Behind strides channels share ciphertexts where that saves time, and only there: a layer of 3 x 3 pixels makes half
// of its rotations for pixels, one of 1 x 1 pixel would make all of them for channels.
TEST(Planner, GapsAreFilledWhereThatIsFaster) {
  constexpr int kImages = 512;
  const auto strided = [](int kernel) {
    NetworkBuilder b({3, 32, 32}, 4);
    int x = b.square(b.conv(0, 32, 3, 4, 1));
    for (int layer = 0; layer < 3; ++layer) x = b.square(b.conv(x, 32, kernel, 1, kernel / 2));
    b.dense(b.mean(x), 4);
    return b.network;
  };
  const auto filled = [](const plan::Plan& p) {
    return std::ranges::any_of(p.tensors, [](const plan::Tensor& t) { return t.layout.fill != plan::Axes(1); });
  };
  for (const auto& [kernel, expected] : {std::pair(3, true), std::pair(1, false)}) {
    const graph::Network net = strided(kernel);
    const MeasuredNetwork once = measured(net);
    const plan::Plan best = Planner(once).plan(kImages);
    ASSERT_EQ(best.group(), 1) << kernel;
    EXPECT_EQ(filled(best), expected) << kernel;
    const auto time = [&](bool fill) {
      return plan::estimate(compiler::compile(once.circuit, {.batch = kImages, .fill = fill}).plan)
          .seconds(plan::kTypicalSpeed);
    };
    EXPECT_EQ(time(true) < time(false), expected) << kernel;
  }
}

// Single channels seem cheaper for a lone image before they have the precision that labels need.
TEST(Planner, KindsAreComparedWithTheirPrecision) {
  const MeasuredNetwork once = measured(network());
  const double error = once.reference.score_error_for(0.9975);
  for (int images : {1, 64}) {
    const plan::Plan best = Planner(once).plan(images);
    const auto time = [&](const plan::Plan& p) {
      return std::ceil(static_cast<double>(images) / p.batch) * plan::estimate(p).seconds(plan::kTypicalSpeed);
    };
    for (int group : {1, 4}) {
      if ((group > 1) == (best.group() > 1)) continue;
      const compiler::Options options{.batch = group > 1 ? 1 : images,
                                      .group = group,
                                      .score_error = error,
                                      .cheap_score_error = error / 16};  // as the planner wants them
      const plan::Plan other = compiler::compile(once.circuit, options).plan;
      EXPECT_LE(time(best), time(other) * (1 + 1e-9)) << images << " images, group " << group;
    }
  }
}

TEST(Planner, MemoryThatSufficesForNothingIsRefusedWithWhatWould) {
  PlannerOptions options;
  options.memory = 10 << 20;
  const Planner planner(measured(network()), options);
  const auto refused = [&](const auto& f) {
    return test::fails_with(f, ErrorCode::no_resources, {"10.00 MiB", "needs about"});
  };
  EXPECT_TRUE(refused([&] { return planner.plan(100).batch; }));
  EXPECT_TRUE(refused([&] { return planner.parts(1100).size(); }));
}

// Packings are compared before precision is chosen, and more of it takes more memory.
TEST(Planner, PrecisionKeepsToTheMemory) {
  const auto bytes = [](const plan::Plan& p, std::uint64_t limit) { return plan::estimate(p, 2, limit).least_bytes; };
  const MeasuredNetwork measured_once = measured(network(), 0.9999);
  PlannerOptions options;
  options.agreement = 0.9999;
  const plan::Plan free = Planner(measured_once, options).plan(4096);
  for (const double part : {0.98, 0.9, 0.7, 0.5, 0.3}) {
    options.memory = static_cast<std::uint64_t>(part * static_cast<double>(bytes(free, 1)));
    try {
      const plan::Plan p = Planner(measured_once, options).plan(4096);
      EXPECT_LE(bytes(p, options.memory), options.memory) << part;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::no_resources) << part;
    }
  }
}

TEST(Planner, PromisesWhatIsAskedFor) {
  for (double agreement : {0.9, 0.9999}) {
    PlannerOptions options;
    options.agreement = agreement;
    const plan::Plan p = Planner(measured(network(), agreement), options).plan(64);
    EXPECT_EQ(p.prediction.promised, agreement);
    EXPECT_GE(p.prediction.label_agreement, agreement);
    EXPECT_TRUE(p.prediction.made_up);
  }
}

// The polynomial's error is a part of its range, whatever the modulus.
TEST(Planner, LabelsThatCannotBeKeptAreRefusedWithTheLayer) {
  NetworkBuilder b({3, 8, 8}, 4);
  const int features = b.mean(b.relu(b.conv(0, 8, 3, 1, 1), 1e4));  // of a range that drowns all inputs
  b.dense(features, 4);
  EXPECT_TRUE(test::fails_with([&] { return Planner(measured(b.network)).plan(64).batch; }, ErrorCode::no_resources,
                               {"labels", "99.5 %", "layer '", "made-up"}));
}

TEST(Planner, ImagesThatLeaveAllRangesAreNoMeasure) {
  NetworkBuilder b({3, 8, 8}, 4);
  b.dense(b.mean(b.relu(b.conv(0, 8, 3, 1, 1), 1e-3)), 4);
  EXPECT_TRUE(test::fails_with([&] { return Planner(measured(b.network)).plan(64).batch; }, ErrorCode::no_resources,
                               {"leave the ranges", "measure on real ones"}));
}

// Activations of faint pictures see the middle of their range only. Who gives images has said what is to come.
TEST(MeasuredNetwork, FaintPicturesAreLookedAtWhereNobodyGivesImages) {
  NetworkBuilder relus({3, 8, 8}, 4);
  relus.dense(relus.mean(relus.relu(relus.conv(0, 8, 3, 1, 1), 8)), 4);
  EXPECT_GT(measured(relus.network).faint_error, 0);
  EXPECT_EQ(measured(network()).faint_error, 0) << "squares have no range";
  const MeasuredNetwork of_mine =
      measure(relus.network, compiler::calibration_from(measured(relus.network).calibration.images), 0.995);
  EXPECT_EQ(of_mine.faint_error, 0);
  const plan::Prediction p = Planner(measured(relus.network)).plan(64).prediction;
  EXPECT_GT(p.faint_error, p.score_error);
}

TEST(Planner, EqualImagesTellNothing) {
  const graph::Network net = network();
  const compiler::Calibration black = compiler::calibration_from({4, std::vector<double>(3 * 32 * 32)});
  EXPECT_TRUE(test::fails_with([&] { return measure(net, black, 0.995).function_error; }, ErrorCode::bad_input,
                               {"all the same"}));
}

TEST(Planner, ProgressAndNotesAreHeard) {
  std::vector<std::string> stages;
  compiler::PlanningHooks hooks;
  hooks.progress = [&](const compiler::PlanningProgress& p) {
    if (stages.empty() || stages.back() != p.stage) stages.push_back(p.stage);
    EXPECT_GE(p.done, 0);
    EXPECT_LE(p.done, 1);
  };
  const graph::Network net = network();
  (void)Planner(measure(net, compiler::made_up_calibration(compiler::interface_of(net)), 0.995, {}, hooks), {}, hooks)
      .plan(64);
  // The best packings of both kinds are made as precise as labels need.
  EXPECT_EQ(stages, (std::vector<std::string>{"ranges", "float model", "values", "packings", "precision", "prediction",
                                              "precision", "prediction"}));
}

}  // namespace
}  // namespace sotto::engine
