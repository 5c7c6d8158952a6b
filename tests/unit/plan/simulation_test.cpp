#include "plan/simulation.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "circuit/interpret.h"
#include "support/plan_builder.h"
#include "support/values.h"

namespace sotto::plan {
namespace {

// Scales of a real ring: values at 2^40, sums at 2^90. Errors of weights, divisions and encryption nearly vanish.
Plan precise(Plan p) {
  for (Tensor& t : p.tensors) t.scale = 0x1p40;
  for (Step& s : p.steps) s.scale = 0x1p90;
  return p;
}

std::vector<std::vector<double>> images_of(const Plan& p, unsigned count) {
  std::vector<std::vector<double>> images;
  const auto size = static_cast<std::size_t>(p.io.channels) * p.io.height * p.io.width;
  for (unsigned k = 0; k < count; ++k) images.push_back(test::random_values(size, 1 + k, 1));
  return images;
}

TEST(Simulation, IsTheInterpretationButForErrors) {
  for (const Plan& p : {precise(test::small_plan()), precise(test::small_grouped_plan())}) {
    const auto images = images_of(p, 3);
    const Simulated simulated = simulate(p, images, 1);
    for (std::size_t k = 0; k < images.size(); ++k) {
      const std::vector<double> exact = circuit::interpret(view(p), images[k]);
      ASSERT_EQ(simulated.scores[k].size(), exact.size());
      EXPECT_TRUE(simulated.inside[k]);
      for (std::size_t c = 0; c < exact.size(); ++c)
        EXPECT_NEAR(simulated.scores[k][c], exact[c], 1e-5 * (1 + std::abs(exact[c]))) << "group " << p.group();
    }
  }
}

TEST(Simulation, TheSeedDecidesWhatIsDrawn) {
  const Plan p = test::small_plan();
  const auto images = images_of(p, 2);
  const auto scores = [&](std::uint64_t seed) { return simulate(p, images, seed).scores; };
  EXPECT_EQ(scores(1), scores(1));
  EXPECT_NE(scores(1), scores(2));
}

TEST(Simulation, WhatProgressThrowsEndsIt) {
  const Plan p = test::small_plan();
  SimulationHooks hooks;
  hooks.progress = [](std::size_t done, std::size_t of) {
    EXPECT_LT(done, of);
    if (done > 0) throw Error(ErrorCode::interrupted, "enough");
  };
  EXPECT_THROW((void)simulate(p, images_of(p, 1), 1, hooks), Error);
}

}  // namespace
}  // namespace sotto::plan
