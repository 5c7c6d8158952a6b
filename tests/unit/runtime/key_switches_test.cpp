// The key switches of a run are those that the cost model counts, and every key is announced before it is used.
#include <gtest/gtest.h>

#include <set>

#include "plan/cost.h"
#include "runtime/batch_run.h"
#include "support/plan_builder.h"
#include "support/toy_client.h"

namespace sotto::runtime {
namespace {

using namespace test::kinds;
using plan::Plan;
using test::PlanBuilder;

class CountingKeys : public ckks::KeyProvider {
 public:
  explicit CountingKeys(ckks::KeyProvider& keys) : keys_(keys) {}

  const ckks::SwitchingKey& key(const ckks::KeyId& id) override {
    EXPECT_TRUE(announced.contains(id)) << id.tier << " " << id.galois_element;
    used.insert(id);
    ++uses;
    return keys_.key(id);
  }
  void prepare(std::span<const ckks::KeyId> ids) override { announced.insert(ids.begin(), ids.end()); }

  std::size_t uses = 0;
  std::set<ckks::KeyId> used, announced;

 private:
  ckks::KeyProvider& keys_;
};

struct Count {
  std::vector<std::size_t> counted, predicted;  // by step
};

Count count(const Plan& p) {
  test::ToyClient client(p);
  CountingKeys keys(client.keys);
  Count c{std::vector<std::size_t>(p.steps.size()), {}};
  const Model model(p, client.parameters, client.ring);
  RunOptions options;
  std::size_t before = 0;
  options.observe = [&](int tensor, int, const auto&) {
    for (std::size_t s = 0; s < p.steps.size(); ++s)
      if (p.steps[s].output == tensor) c.counted[s] += keys.uses - before;
    before = keys.uses;
  };
  const auto pixels = static_cast<std::size_t>(p.io.channels * p.io.height * p.io.width);
  BatchRun run(model, keys, options);
  (void)run.execute(client.encrypt({test::random_values(pixels, 1, 1)}));
  EXPECT_EQ(keys.used, keys.announced) << "all that was announced was used";
  EXPECT_EQ(std::vector(keys.used.begin(), keys.used.end()), p.keys.keys);
  for (const auto& s : plan::estimate(p).steps) c.predicted.push_back(s.key_switches);
  return c;
}

// Every place of every block holds a channel, so that every block needs every giant step.
Plan whole_blocks(int log_n, int baby) {
  PlanBuilder b(log_n, 4, {4, 8, 8, 2, 1, 4}, 6, 2);
  b.baby = baby;
  const int x = b.step({b.convolution(0, 8, 3, 1, 1)}, {8, 8, 8, 2, 1}, square);
  const int y = b.step({b.convolution(x, 8, 3, 2, 1)}, {8, 4, 4, 1, 1}, square);
  b.step({b.full(y, 4)}, {4, 1, 1, 1, 4}, keep);
  return b.build();
}

TEST(KeySwitches, OfSingleChannels) {
  PlanBuilder b(10, 4, {2, 8, 8, 2, 1}, 5);
  const int x = b.step({b.convolution(0, 3, 3, 1, 1)}, {3, 8, 8, 2, 1}, square);
  const int y = b.step({b.convolution(x, 2, 3, 2, 1)}, {2, 4, 4, 1, 1}, rescale);
  const int z = b.step({b.convolution(y, 3, 3, 1, 1), b.convolution(x, 3, 1, 2, 0)}, {3, 4, 4, 1, 1}, square);
  b.step({b.full(z, 3)}, {3, 1, 1, 1, 4}, keep);
  const Count c = count(b.build());
  EXPECT_EQ(c.counted, c.predicted);
}

TEST(KeySwitches, OfGroups) {
  for (int log_n : {6, 8})
    for (int baby : {1, 2, 4}) {
      const Count c = count(whole_blocks(log_n, baby));
      EXPECT_EQ(c.counted, c.predicted) << log_n << " " << baby;
    }
}

TEST(KeySwitches, OfGroupsByHand) {
  // One image, one phase; a block of four channels to two blocks by 1 x 1 kernels: four moves 0 .. 3.
  for (const auto& [baby, rotations] : {std::pair(1, 3 * 2), std::pair(2, 1 + 1 * 2), std::pair(4, 3)}) {
    PlanBuilder b(6, 4, {4, 4, 4, 1, 1, 4}, 4, 2);
    b.baby = baby;
    const int x = b.step({b.convolution(0, 8, 1, 1, 0)}, {8, 4, 4, 1, 1}, square);
    b.baby = 1;
    b.step({b.full(x, 4)}, {4, 1, 1, 1, 4}, keep);
    const Count c = count(b.build());
    EXPECT_EQ(c.counted, (std::vector<std::size_t>{static_cast<std::size_t>(rotations) + 2, 3 + 4})) << baby;
  }
}

TEST(KeySwitches, OfChannelsInGaps) {
  const Count all = count(test::small_gaps_plan());
  EXPECT_EQ(all.counted, all.predicted);
  // Nine copies of a ciphertext less the one that is not rotated; two blocks, nine ways between four places.
  PlanBuilder b(10, 8, {1, 8, 8, 1, 1}, 5);
  const int x = b.step({b.convolution(0, 4, 1, 2, 0)}, {4, 4, 4, 1, 2, 1, 2}, rescale);
  const int y = b.step({b.convolution(x, 8, 3, 1, 1)}, {8, 4, 4, 1, 2, 1, 2}, square);
  b.step({b.full(y, 2)}, {2, 1, 1, 1, 1}, keep);
  const Count c = count(b.build());
  EXPECT_EQ(c.counted, (std::vector<std::size_t>{3, 8 + 2 * 8 + 2, 2 * 6}));
  EXPECT_EQ(c.counted, c.predicted);
}

TEST(KeySwitches, OfPixelsAndChannelsThatMove) {
  // One image, four channels in a block, a 3 x 3 kernel: copies with channels moved by 1 .. baby - 1 places, from each
  // and from the phase eight with pixels moved, which share eight keys; then giant steps.
  for (const auto& [baby, giants] : {std::pair(1, 3), std::pair(2, 1), std::pair(4, 0)}) {
    PlanBuilder b(8, 8, {4, 8, 8, 1, 1, 4}, 4, 2);
    b.baby = baby;
    const int x = b.step({b.convolution(0, 4, 3, 1, 1)}, {4, 8, 8, 1, 1}, square);
    b.baby = 1;
    b.step({b.full(x, 4)}, {4, 1, 1, 1, 8}, keep);
    const Plan p = b.build();
    const Count c = count(p);
    EXPECT_EQ(c.counted.front(), static_cast<std::size_t>(baby - 1 + 8 * baby + giants + 1)) << baby;
    EXPECT_EQ(c.counted, c.predicted) << baby;
    const plan::Schedule schedule = plan::make_schedule(p);
    EXPECT_EQ(plan::keys_of(p, schedule.tasks.front()).size(),
              static_cast<std::size_t>(baby - 1 + 8 + (giants > 0) + 1))
        << baby;
  }
}

TEST(KeySwitches, OfCopiesThatAreMadeAgainWithMoreLimbs) {
  // Eight rotations of two ciphertexts for z, and again for w.
  PlanBuilder b(10, 4, {1, 4, 4, 1, 1}, 5);
  b.plan.keys.tiers = {{5, 3}};
  const int x = b.step({b.convolution(0, 2, 1, 1, 0)}, {2, 4, 4, 1, 1}, square);
  const int y = b.step({b.convolution(x, 2, 1, 1, 0)}, {2, 4, 4, 1, 1}, square);
  const int z = b.step({b.convolution(y, 2, 1, 1, 0), b.convolution(x, 2, 3, 1, 1)}, {2, 4, 4, 1, 1}, square);
  const int w = b.step({b.convolution(x, 2, 3, 1, 1)}, {2, 4, 4, 1, 1}, square);
  b.step({b.full(z, 2), b.full(w, 2)}, {2, 1, 1, 1, 4}, keep);
  const Count c = count(b.build());
  EXPECT_EQ(c.counted, (std::vector<std::size_t>{2, 2, 16 + 2, 16 + 2, 8}));
  EXPECT_EQ(c.counted, c.predicted);
}

TEST(KeySwitches, BlocksThatNeedFewerGiantStepsCostLess) {
  const Count c = count(test::small_grouped_plan());
  for (std::size_t s = 0; s < c.counted.size(); ++s) {
    EXPECT_LE(c.counted[s], c.predicted[s]) << s;
    EXPECT_GE(c.counted[s], c.predicted[s] / 2) << s;
  }
}

}  // namespace
}  // namespace sotto::runtime
