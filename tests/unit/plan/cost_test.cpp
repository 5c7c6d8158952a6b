// The estimate of memory and work against a direct count over the schedule.
#include "plan/cost.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "plan/level_costs.h"
#include "plan/schedule.h"
#include "support/plan_builder.h"

namespace sotto::plan {
namespace {

using namespace test::kinds;

int tier_for(const Plan& p, int limbs) {
  int best = 0;
  for (int t = 0; t < static_cast<int>(p.keys.tiers.size()); ++t)
    if (p.keys.tiers[static_cast<std::size_t>(t)].max_limbs >= limbs &&
        p.keys.tiers[static_cast<std::size_t>(t)].max_limbs < p.keys.tiers[static_cast<std::size_t>(best)].max_limbs)
      best = t;
  return best;
}

// Bytes in memory in every task: all that a later task (or this one) still reads, the rotated copies in use, a
// result that nobody reads, the sums that this task makes, its keys and its weights.
struct TaskBytes {
  std::uint64_t packed, sums, weights;
};

std::vector<TaskBytes> bytes_of_tasks(const Plan& p) {
  const Schedule schedule = make_schedule(p);
  const int tasks = static_cast<int>(schedule.tasks.size());
  const auto reads = [&](int t, int tensor, int phase) {
    for (const Tap& tap : schedule.tasks[static_cast<std::size_t>(t)].taps)
      if (tap.source.tensor == tensor && tap.source.phase == phase) return true;
    return false;
  };
  const auto limbs_of = [&](int t) {
    return p.steps[static_cast<std::size_t>(schedule.tasks[static_cast<std::size_t>(t)].step)].level.limbs;
  };
  std::vector<TaskBytes> bytes;
  std::set<ckks::KeyId> used;
  for (int now = 0; now < tasks; ++now) {
    std::uint64_t limbs = 0;
    const auto add_phase = [&](int tensor, int phase, int made) {
      const Tensor& tensor_info = p.tensors[static_cast<std::size_t>(tensor)];
      int needed = 0, readers = 0;
      for (int t = 0; t < tasks; ++t) {
        if (!reads(t, tensor, phase)) continue;
        ++readers;
        if (t >= now) needed = std::max(needed, limbs_of(t));
      }
      // Nothing is cut before the first task has run; what has no reader goes with the next task.
      const bool fresh = now == 0 || (readers == 0 && made == now - 1);
      const int kept = fresh ? tensor_info.level.limbs : std::min(tensor_info.level.limbs, needed);
      if (made < now) limbs += 2 * static_cast<std::uint64_t>(kept * tensor_info.layout.blocks());
    };
    const Layout& in = p.input().layout;
    for (int phase = 0; phase < in.phase_count(); ++phase) add_phase(0, phase, -1);
    for (int t = 0; t < now; ++t) {
      const Task& task = schedule.tasks[static_cast<std::size_t>(t)];
      add_phase(p.steps[static_cast<std::size_t>(task.step)].output, task.phase, t);
    }
    std::map<Source, std::pair<int, int>> life;  // first and last task
    for (int t = 0; t < tasks; ++t)
      for (const Tap& tap : schedule.tasks[static_cast<std::size_t>(t)].taps)
        if (tap.source.rotation != 0) life.try_emplace(tap.source, t, t).first->second.second = t;
    for (const auto& [source, span] : life)
      if (span.first <= now && now <= span.second)
        limbs += 2 * static_cast<std::uint64_t>(limbs_of(span.first) *
                                                p.tensors[static_cast<std::size_t>(source.tensor)].layout.blocks());
    const Step& step = p.steps[static_cast<std::size_t>(schedule.tasks[static_cast<std::size_t>(now)].step)];
    used.merge(keys_of(p, schedule.tasks[static_cast<std::size_t>(now)]));
    const std::uint64_t sums =
        2 *
        static_cast<std::uint64_t>(step.level.limbs * p.tensors[static_cast<std::size_t>(step.output)].layout.blocks());
    for (const ckks::KeyId& id : p.keys.keys) {
      const ckks::KeyTier& tier = p.keys.tiers[static_cast<std::size_t>(id.tier)];
      if (id.tier == tier_for(p, step.level.limbs) && used.contains(id))
        limbs += 2 * static_cast<std::uint64_t>(tier.digits() * (tier.max_limbs + tier.special));
    }
    // One thread holds, for one prime, a run of every weight: of each tap and channel to each output, and of the bias.
    // All share the weights as integers. With groups it holds eight plaintexts at a time, of one output.
    std::uint64_t columns = 1;
    for (const Tap& tap : schedule.tasks[static_cast<std::size_t>(now)].taps)
      columns += static_cast<std::uint64_t>(p.tensors[static_cast<std::size_t>(tap.source.tensor)].layout.blocks());
    const std::uint64_t run = static_cast<std::uint64_t>(std::max(64, p.period()));
    const auto rows = static_cast<std::uint64_t>(p.tensors[static_cast<std::size_t>(step.output)].layout.channels);
    const std::uint64_t weights = p.group() == 1 ? 16 * run * rows * columns : 8 * run * (columns + 8);
    // Keys and waiting ciphertexts are packed, sums are not.
    bytes.push_back({limbs * (6ull << p.parameters.log_n), sums * (8ull << p.parameters.log_n), weights});
  }
  return bytes;
}

Plan strided_plan(int log_n) {
  test::PlanBuilder b(log_n, 4, {1, 16, 16, 4, 1}, 5);
  const int x = b.step({b.convolution(0, 3, 3, 2, 1)}, {3, 8, 8, 2, 1}, square);
  const int y = b.step({b.convolution(x, 2, 1, 2, 0)}, {2, 4, 4, 1, 1}, square);  // three phases of x have no reader
  b.step({b.full(y, 5)}, {5, 1, 1, 1, 4}, keep);
  return b.build();
}

TEST(Cost, PeakMemoryIsThatOfADirectCount) {
  for (const Plan& p : {test::small_plan(15), strided_plan(15), test::small_grouped_plan(15)}) {
    const Cost cost = estimate(p, 1);
    const Schedule schedule = make_schedule(p);
    std::uint64_t packed = 0, sums = 0;
    std::vector<std::uint64_t> least(p.steps.size());
    const std::vector<TaskBytes> tasks = bytes_of_tasks(p);
    for (std::size_t t = 0; t < tasks.size(); ++t) {  // what the pools took once they keep
      packed = std::max(packed, tasks[t].packed);
      sums = std::max(sums, tasks[t].sums);
      std::uint64_t& of_step = least[static_cast<std::size_t>(schedule.tasks[t].step)];
      of_step = std::max(of_step, packed + sums + tasks[t].weights);
    }
    // Tables, the program and the scratch of a key switch come on top, the same for every step but for a few limbs.
    const double limb = std::ldexp(8.0, p.parameters.log_n);
    const auto rest = [&](std::size_t s) { return static_cast<double>(cost.steps[s].peak_bytes - least[s]); };
    for (std::size_t s = 0; s < p.steps.size(); ++s) {
      EXPECT_GT(cost.steps[s].peak_bytes, least[s]) << "step " << s;
      EXPECT_LT(rest(s), 0x1p20 * 96 + 400 * limb) << "step " << s;
      EXPECT_NEAR(rest(s), rest(0), 8 * limb) << "step " << s;
    }
    EXPECT_EQ(cost.peak_bytes, std::max_element(cost.steps.begin(), cost.steps.end(), [](const auto& x, const auto& y) {
                                 return x.peak_bytes < y.peak_bytes;
                               })->peak_bytes);
  }
}

TEST(Cost, MoreThreadsNeedMoreMemory) {
  const Plan p = test::small_plan();
  EXPECT_GT(estimate(p, 2).peak_bytes, estimate(p, 1).peak_bytes);
  EXPECT_EQ(estimate(p, 1000).peak_bytes, estimate(p, 100).peak_bytes)
      << "but no more than there are primes to work on";
}

TEST(Cost, KeySwitchesAreRotationsSumsAndSquares) {
  const Plan p = test::small_plan();
  const Schedule schedule = make_schedule(p);
  const Cost cost = estimate(p);
  std::vector<std::size_t> expected(p.steps.size());
  std::set<Source> rotated;
  for (const Task& task : schedule.tasks) {
    const Step& step = p.steps[static_cast<std::size_t>(task.step)];
    const auto outputs = static_cast<std::size_t>(p.tensors[static_cast<std::size_t>(step.output)].layout.channels);
    std::size_t& count = expected[static_cast<std::size_t>(task.step)];
    // No rotated copy of this plan is made twice.
    for (const Tap& tap : task.taps)
      if (tap.source.rotation != 0 && rotated.insert(tap.source).second)
        count += static_cast<std::size_t>(p.tensors[static_cast<std::size_t>(tap.source.tensor)].layout.channels);
    if (step.terms[0].kind == Term::Kind::full) count += 4 * outputs;  // 16 slots
    if (step.kind == square) count += outputs;
  }
  ASSERT_EQ(cost.steps.size(), p.steps.size());
  for (std::size_t s = 0; s < p.steps.size(); ++s) EXPECT_EQ(cost.steps[s].key_switches, expected[s]) << s;
}

TEST(Cost, TasksAndStepsAddUp) {
  const Plan p = test::small_plan();
  const Cost cost = estimate(p);
  EXPECT_EQ(cost.tasks.size(), make_schedule(p).tasks.size());
  const Speed speed{1e-3, 2e-9, 3e-9, 5e-9, 2};
  double steps = 0, tasks = 0;
  for (const auto& s : cost.steps) steps += s.seconds(speed);
  for (const Cost::Task& t : cost.tasks) {
    EXPECT_GT(t.total().seconds(speed), 0);
    tasks += t.total().seconds(speed);
  }
  EXPECT_NEAR(cost.seconds(speed), steps, 1e-12 * steps);
  EXPECT_NEAR(cost.seconds(speed), tasks, 1e-9 * tasks);
  Speed twice = speed;
  twice.threads = 4;
  EXPECT_NEAR(cost.seconds(twice) * speed_up(4), cost.seconds(speed) * speed_up(2), 1e-12 * steps);
}

TEST(Cost, FreshMemoryAddsUpToThePeak) {
  const Cost cost = estimate(test::small_plan());
  double fresh = 0;
  for (const auto& s : cost.steps) fresh += s.memory.fresh_bytes;
  EXPECT_EQ(fresh, static_cast<double>(cost.peak_bytes));
  Speed speed{1e-3, 2e-9, 3e-9, 5e-9, 2};
  const double without = cost.seconds(speed);
  speed.fresh = 1e-9;
  EXPECT_NEAR(cost.seconds(speed) - without, fresh * 1e-9 / speed_up(2), 1e-9 * without);
}

TEST(Cost, FileSizes) {
  const Plan p = test::small_plan();
  const Cost cost = estimate(p);
  const std::uint64_t poly = (1ull << p.parameters.log_n) * 6;
  EXPECT_EQ(cost.input_bytes, 2 * 4 * 5 * poly) << "channels, phases, limbs; one polynomial each";
  EXPECT_EQ(cost.output_bytes, 3 * 2 * static_cast<std::uint64_t>(p.output().level.limbs) * poly);
  std::uint64_t keys = 0;
  for (const auto& k : p.keys.keys) {
    const ckks::KeyTier& tier = p.keys.tiers[static_cast<std::size_t>(k.tier)];
    keys += 32 + static_cast<std::uint64_t>(tier.digits() * (tier.max_limbs + tier.special)) *
                     poly;  // a seed and one polynomial per digit
  }
  EXPECT_EQ(cost.eval_key_bytes, keys);
}

TEST(Cost, FileSizesOfGroups) {
  const Plan p = test::small_grouped_plan();
  const Cost cost = estimate(p);
  const std::uint64_t poly = (1ull << p.parameters.log_n) * 6;
  EXPECT_EQ(cost.input_bytes, 1 * 4 * 10 * poly) << "blocks, phases, limbs";
  EXPECT_EQ(cost.output_bytes, 3 * 2 * 4 * poly) << "blocks, polynomials, limbs";
}

TEST(Cost, GroupsMakeALoneImageCheaper) {
  // The same network over the same ring for sixteen images, four, and one.
  double seconds = HUGE_VAL;
  for (int group : {1, 4, 16}) {
    test::PlanBuilder b(12, 16, {16, 16, 16, 1, 1, group}, 3);
    const int x = b.step({b.convolution(0, 16, 3, 1, 1)}, {16, 16, 16, 1, 1}, square);
    b.step({b.full(x, 10)}, {10, 1, 1, 1, 16}, keep);
    const double now = estimate(b.build()).seconds(kTypicalSpeed);
    EXPECT_LT(now, seconds) << group;
    seconds = now;
  }
}

TEST(Cost, GrowsWithTheBatch) {
  // The same network for 1, 4 and 16 images at a time: smaller tiles, more ciphertexts.
  double seconds = 0;
  std::uint64_t input = 0, peak = 0;
  for (const auto& [tile, phases] : {std::pair(16, 1), std::pair(8, 2), std::pair(4, 4)}) {
    test::PlanBuilder b(12, tile, {3, 16, 16, phases, 1}, 5);
    const int x = b.step({b.convolution(0, 8, 3, 1, 1)}, {8, 16, 16, phases, 1}, square);
    const int y = b.step({b.convolution(x, 8, 3, 1, 1)}, {8, 16, 16, phases, 1}, square);
    b.step({b.full(y, 10)}, {10, 1, 1, 1, tile}, keep);
    const Cost cost = estimate(b.build());
    EXPECT_GT(cost.seconds(kTypicalSpeed), seconds);
    EXPECT_GT(cost.input_bytes, input);
    EXPECT_GT(cost.peak_bytes, peak);
    seconds = cost.seconds(kTypicalSpeed), input = cost.input_bytes, peak = cost.peak_bytes;
  }
}

TEST(Cost, MeasuredSpeedsArePositive) {
  const Speed s = measure_speed(15, ring::RingKind::conjugate_invariant, 3);
  for (double v : {s.transform, s.layer_mac, s.basis_mac, s.pointwise}) EXPECT_TRUE(std::isfinite(v) && v > 0) << v;
  EXPECT_EQ(s.threads, 3);
}

// What a step takes at any level, against the walk through a plan that has levels.
TEST(LevelCosts, AreThoseOfThePlanAtItsLevels) {
  for (const Plan& p : {test::small_plan(), test::small_grouped_plan(), test::slotwise_plan(), strided_plan(8)}) {
    const Cost cost = estimate(p, 2);
    const LevelCosts levels(p);
    const auto special = [&](int limbs) { return p.keys.tiers[static_cast<std::size_t>(tier_for(p, limbs))].special; };
    for (std::size_t s = 0; s < p.steps.size(); ++s) {
      const Work got = levels.at(static_cast<int>(s), p.steps[s].level.limbs, special);
      Work expected = cost.steps[s].rotate;
      expected += cost.steps[s].linear;
      expected += cost.steps[s].activate;
      EXPECT_NEAR(got.transforms, expected.transforms, 1e-6 * expected.transforms) << p.steps[s].name;
      EXPECT_NEAR(got.basis_macs, expected.basis_macs, 1e-6 * expected.basis_macs) << p.steps[s].name;
      EXPECT_NEAR(got.layer_macs, expected.layer_macs, 1e-6 * expected.layer_macs) << p.steps[s].name;
      EXPECT_NEAR(got.words, expected.words, 1e-6 * expected.words) << p.steps[s].name;
    }
  }
}

}  // namespace
}  // namespace sotto::plan
