// Which slots a probe sees.
#include "plan/probe.h"

#include <gtest/gtest.h>

#include "plan/plan.h"

namespace sotto::plan {
namespace {

// A map whose pixels lie `gap` apart on a canvas that is dealt out to `phases` ciphertexts.
Plan map_of(int size, Axes phases, Axes gap, const Axes& tile) {
  Plan plan;
  plan.tile = tile;
  plan.tensors.push_back({"map", {1, size, size, phases, gap, 1}, 2, 0x1p22});
  return plan;
}

TEST(Probe, SeesEveryPixel) {
  struct Case {
    int size;
    Axes phases, gap, tile;
  };
  for (const auto& [size, phases, gap, tile] :
       {Case{8, 1, 1, 8}, Case{8, 2, 1, 4}, Case{4, 1, 2, 8}, Case{4, 2, 2, 4}, Case{8, 4, 3, 8}, Case{5, 2, 3, 8},
        Case{5, 8, 3, 2}, Case{4, 2, 4, 8}, Case{8, {2, 1}, 1, {4, 8}}, Case{5, {1, 4}, {2, 1}, {16, 2}}}) {
    const Plan plan = map_of(size, phases, gap, tile);
    const Probe probe{0, false, 2, 100};
    for (int pixel = 0; pixel < size * size; ++pixel) {
      std::vector<double> values(static_cast<std::size_t>(size * size));
      values[static_cast<std::size_t>(pixel)] = 7;
      EXPECT_EQ(probe_value(plan, probe, values), 7)
          << "pixel " << pixel << " of " << size << "x" << size << ", phases " << phases.h << "x" << phases.w
          << ", gap " << gap.h << "x" << gap.w;
    }
  }
}

}  // namespace
}  // namespace sotto::plan
