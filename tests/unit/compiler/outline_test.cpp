// What packings are compared by is what compiling them gives.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "compiler/compile.h"
#include "compiler/lower.h"
#include "plan/cost.h"
#include "support/expect_error.h"
#include "support/network_builder.h"

namespace sotto::compiler {
namespace {

using test::NetworkBuilder;

graph::Network squares(int depth) {
  NetworkBuilder b({3, 8, 8}, 1);
  int x = 0;
  for (int d = 0; d < depth; ++d) x = b.square(b.conv(x, 4, 3, 1, 1));
  b.dense(b.mean(x), 2);
  for (graph::Node& n : b.network.nodes)
    if (auto* conv = std::get_if<graph::Conv2d>(&n.op))
      for (double& w : conv->weights) w *= 0.2;  // values stay finite
  return b.network;
}

graph::Network relus() {
  NetworkBuilder b({3, 8, 8}, 2);
  int x = 0;
  for (int d = 0; d < 2; ++d) x = b.relu(b.conv(x, 4, 3, 1, 1), 8);
  b.dense(b.mean(x), 2);
  return b.network;
}

TEST(Outline, HasTheLevelsKeysAndCostOfThePlan) {
  for (const graph::Network& network : {squares(2), squares(14), squares(40), relus()}) {
    const MeasuredCircuit measured = measured_circuit(network, made_up_calibration(interface_of(network)));
    for (int group : {1, 2, 4}) {
      Options options;
      options.group = group;
      options.batch = group > 1 ? 1 : 100;
      const std::optional<plan::Plan> outlined = outline(measured, options);
      ASSERT_TRUE(outlined) << group;
      const plan::Plan whole = compile(measured, options).plan;
      ASSERT_EQ(outlined->steps.size(), whole.steps.size()) << "as many bootstraps";
      for (std::size_t s = 0; s < whole.steps.size(); ++s) {
        EXPECT_EQ(outlined->steps[s].level.limbs, whole.steps[s].level.limbs) << whole.steps[s].name;
        EXPECT_EQ(outlined->steps[s].baby, whole.steps[s].baby);
      }
      EXPECT_EQ(outlined->batch, whole.batch);
      EXPECT_EQ(outlined->parameters, whole.parameters);
      EXPECT_EQ(outlined->keys.tiers, whole.keys.tiers);
      EXPECT_EQ(outlined->keys.keys, whole.keys.keys);
      const plan::Cost a = plan::estimate(*outlined, 2), b = plan::estimate(whole, 2);
      const double seconds = b.seconds(plan::kTypicalSpeed);
      EXPECT_NEAR(a.seconds(plan::kTypicalSpeed), seconds, 0.01 * seconds) << "but for probes";
    }
  }
}

// What takes too long anyway is left without baby steps, but can be estimated.
TEST(Outline, RotationsAreLookedForWhereTheyMayPay) {
  NetworkBuilder b({3, 8, 8}, 2);
  b.dense(b.mean(b.square(b.conv(b.square(b.conv(0, 16, 3, 1, 1)), 16, 3, 1, 1))), 2);
  const MeasuredCircuit measured = measured_circuit(b.network, made_up_calibration(interface_of(b.network)));
  const Options options{.batch = 1, .group = 16};
  const auto outlined = [&](double most_seconds) {
    return outline(measured, options, [=](int) { return most_seconds; }).value();
  };
  const auto seconds = [](const plan::Plan& p) { return plan::estimate(p, 2).seconds(plan::kTypicalSpeed); };
  const auto largest = [](const plan::Plan& p) { return std::ranges::max(p.steps, {}, &plan::Step::baby).baby; };
  const plan::Plan all = outlined(HUGE_VAL), none = outlined(0);
  EXPECT_GT(largest(all), 1);
  EXPECT_EQ(largest(none), 1);
  EXPECT_EQ(none.batch, all.batch);
  EXPECT_LT(seconds(all), seconds(none));
  EXPECT_EQ(largest(outlined(1.01 * seconds(none))), largest(all)) << "the limit is of plans without baby steps";
  EXPECT_EQ(largest(outlined(0.99 * seconds(none))), 1);
}

TEST(Outline, NothingWhereLevelsDoNotSuffice) {
  const graph::Network network = relus();
  const MeasuredCircuit measured = measured_circuit(network, made_up_calibration(interface_of(network)), 0x1p-20);
  EXPECT_FALSE(outline(measured, {.batch = 1}));
  EXPECT_TRUE(test::fails_with([&] { (void)compile(measured, {.batch = 1}); }, ErrorCode::no_resources));
}

}  // namespace
}  // namespace sotto::compiler
