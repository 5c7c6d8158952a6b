#include "lowering/arrangement.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "lowering/windows.h"
#include "support/expect_error.h"
#include "training/differentiate.h"
#include "unit/training/networks.h"

namespace sotto::lowering {
namespace {

using test::NetworkBuilder;

Step step_of(const graph::Network& network) { return training::differentiate(network, {}); }

TEST(Arrangement, StatesComeBackAsTheyWere) {
  const Step step = step_of(test::small_lenet());
  const Arrangement a = arrange(step, 128, 11);
  State state = training::initial_state(step);
  double next = 1;
  for (auto* lists : {&state.weights, &state.velocities})
    for (auto& list : *lists) std::iota(list.begin(), list.end(), next), next += static_cast<double>(list.size());
  const std::vector<double> slots = pack_state(step, a, state);
  EXPECT_EQ(slots.size(), static_cast<std::size_t>(a.period));
  const State back = unpack_state(step, a, slots);
  EXPECT_EQ(back.weights, state.weights);
  EXPECT_EQ(back.velocities, state.velocities);
}

TEST(Arrangement, EveryWeightHasASlotOfItsOwn) {
  const Step step = step_of(test::small_lenet());
  const Arrangement a = arrange(step, 128, 11);
  std::set<int> slots;
  std::size_t weights = 0;
  for (std::size_t p = 0; p < step.parameters.size(); ++p)
    for (std::size_t i = 0; i < step.value(step.parameters[p].value).size(); ++i, ++weights) {
      const int slot = slot_of(step, a, p, i);
      EXPECT_GE(slot, 0);
      EXPECT_LT(slot, a.period / 2);
      slots.insert(slot);
    }
  EXPECT_EQ(slots.size(), weights);
}

TEST(Arrangement, StridesUseUpThePhases) {
  const Step step = step_of(test::small_lenet());  // 12 x 12, two strides of 2
  const Arrangement a = arrange(step, 128, 11);
  EXPECT_EQ(a.tile, 4);
  EXPECT_EQ(a.layouts[static_cast<std::size_t>(step.images)].phases, packing::Axes(4));
  EXPECT_EQ(a.groups(), 1);
  EXPECT_EQ(arrange(step, 129, 11).groups(), 2);
}

TEST(Arrangement, ImagesLieInTheirTilesAndLabelsFillThem) {
  const Step step = step_of(test::small_lenet());
  const Arrangement a = arrange(step, 128, 11);
  Example first{std::vector<double>(144), 1}, second = first;
  second.image[5 * 12 + 6] = 7;  // phase (1, 2), position (1, 1)
  second.label = 2;
  const Example* batch[] = {&first, &second};
  const std::vector<double> slots = pack_images(step, a, batch, 0, 0, 1 * 4 + 2);
  EXPECT_EQ(slots[16 + 5], 7);
  EXPECT_EQ(std::accumulate(slots.begin(), slots.end(), 0.0), 7);
  const std::vector<double> labels = pack_labels(a, batch, 0, 2, 0.25);
  EXPECT_EQ(labels[15], 0);
  EXPECT_EQ(std::accumulate(labels.begin() + 16, labels.begin() + 32, 0.0), 16);
  EXPECT_EQ(std::accumulate(labels.begin() + 32, labels.end(), 0.0), 0.25 * (2048 - 32));  // images that are not there
}

TEST(Arrangement, RefusesWhatDoesNotFit) {
  NetworkBuilder odd({1, 12, 12}, 1);
  const int strided = odd.conv(0, 2, 3, 3, 1);
  const std::string name = odd.network.nodes[static_cast<std::size_t>(strided)].name;
  odd.dense(odd.flatten(strided), 3);
  EXPECT_TRUE(test::refuses([&] { return arrange(step_of(odd.network), 16, 11); },
                            {"node '" + name + "'", "3 x 3", "powers of two"}));
  NetworkBuilder large({1, 8, 8}, 1);
  large.dense(large.flatten(large.conv(0, 40, 3, 1, 1)), 10);
  EXPECT_TRUE(test::refuses([&] { return arrange(step_of(large.network), 16, 11); }, {"fewer layers"}));
}

// The slots of their weights are too many for 32 bits: 1024 * 2048 leaves of a tile of 1024 positions.
TEST(Arrangement, RefusesWideLayers) {
  NetworkBuilder b({1, 28, 28}, 1);
  b.dense(test::quadratic(b, b.dense(test::quadratic(b, b.dense(b.flatten(0), 1024), 0.25, 0.5), 2048), 0.25, 0.5), 10);
  EXPECT_TRUE(test::refuses([&] { return arrange(step_of(b.network), 16, 16); }, {"fewer layers"}));
}

// Both ways list the same meetings of pixels.
TEST(Windows, TransposedTapsAreTheSameSeenFromTheOtherSide) {
  packing::Layout before, behind;
  static_cast<training::Shape&>(before) = {1, 12, 12};
  before.phases = 4;
  static_cast<training::Shape&>(behind) = {1, 6, 6};
  behind.phases = 2;
  const training::Window window{.stride_h = 2, .stride_w = 2, .pad_top = 2, .pad_left = 1};
  auto forwards = forward_taps(window, 5, 3, before, behind);
  auto backwards = transposed_taps(window, 5, 3, before, behind);
  ASSERT_EQ(forwards.size(), backwards.size());
  for (std::size_t k = 0; k < forwards.size(); ++k) {
    EXPECT_EQ(forwards[k].tap, backwards[k].tap);
    EXPECT_EQ(forwards[k].target_phase, backwards[k].source_phase);
    EXPECT_EQ(forwards[k].source_phase, backwards[k].target_phase);
    EXPECT_EQ(forwards[k].dy, -backwards[k].dy);
    EXPECT_EQ(forwards[k].dx, -backwards[k].dx);
    // Output pixel (y, x) of the phase at position 1 reads the input pixel that it should.
    const int py = forwards[k].target_phase / 2, ky = forwards[k].tap / 3;
    const int y = 1 * 2 + py, read = y * 2 + ky - 2;
    EXPECT_EQ((1 + forwards[k].dy) * 4 + forwards[k].source_phase / 4, read);
  }
}

}  // namespace
}  // namespace sotto::lowering
