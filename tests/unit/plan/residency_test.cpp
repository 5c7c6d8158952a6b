// What is moved to disk under a memory cap, replayed step by step.
#include "plan/residency.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "support/plan_builder.h"

namespace sotto::plan {
namespace {

constexpr auto kAll = ~std::uint64_t{0};

struct Replay {
  std::uint64_t most = 0;       // packed limbs in memory at once
  std::uint64_t most_task = 0;  // that one task needs
};

// Follows the moves as the run does; every source must be in memory when its task runs.
Replay replay(const Plan& plan, const Schedule& schedule, const Residency& r) {
  Replay result;
  LiveSet live(plan, schedule);
  std::set<Source> away;
  const auto in_memory = [&] {
    std::uint64_t sum = 0;
    for (const auto& [item, limbs] : live.items())
      if (!away.contains(item)) sum += live.size(item, limbs);
    return sum;
  };
  const auto store = [&](const std::vector<Source>& items) {
    for (const Source& s : items) {
      EXPECT_TRUE(live.items().contains(s));
      EXPECT_TRUE(away.insert(s).second) << "it is on disk already";
    }
  };
  for (int t = 0; t < static_cast<int>(schedule.tasks.size()); ++t) {
    const Residency::Moves& moves = r.tasks[static_cast<std::size_t>(t)];
    store(moves.store);
    for (const Source& s : moves.load) EXPECT_EQ(away.erase(s), 1u);
    for (const LiveSet::Copies& c : live.copies(t)) EXPECT_FALSE(away.contains(c.from));
    live.make_copies(t);
    std::uint64_t needed = 0;
    std::set<Source> sources;
    for (const Tap& tap : schedule.tasks[static_cast<std::size_t>(t)].taps) sources.insert(tap.source);
    for (const Source& s : sources) {
      EXPECT_FALSE(away.contains(s));
      needed += live.size(s, live.items().at(s));
    }
    result.most_task = std::max(result.most_task, needed);
    result.most = std::max(result.most, in_memory());
    live.release(t);
    std::erase_if(away, [&](const Source& s) { return !live.items().contains(s); });
    store(moves.store_after);
    live.add_output(t);
    result.most = std::max(result.most, in_memory());
  }
  return result;
}

TEST(Residency, NothingMovesWhileThereIsRoom) {
  const Plan plan = test::small_plan();
  const Schedule schedule = make_schedule(plan);
  const Residency r = plan_residency(plan, schedule, [](int) { return kAll; });
  EXPECT_TRUE(r.possible);
  for (const auto& moves : r.tasks) {
    EXPECT_TRUE(moves.store.empty() && moves.load.empty() && moves.store_after.empty());
    EXPECT_EQ(moves.limbs, 0u);
  }
}

TEST(Residency, EveryCapFromTheLeastOneIsKept) {
  const Plan plan = test::small_plan();
  const Schedule schedule = make_schedule(plan);
  const Residency free = plan_residency(plan, schedule, [](int) { return kAll; });
  const std::uint64_t most = replay(plan, schedule, free).most;
  ASSERT_LT(free.least_limbs, most);
  std::uint64_t moved_with_less = kAll;
  for (std::uint64_t cap = free.least_limbs; cap <= most; ++cap) {
    const Residency r = plan_residency(plan, schedule, [&](int) { return cap; });
    ASSERT_TRUE(r.possible) << cap;
    const Replay seen = replay(plan, schedule, r);
    EXPECT_LE(seen.most, cap);
    EXPECT_LE(seen.most_task, free.least_limbs);
    std::uint64_t moved = 0;
    for (const auto& moves : r.tasks) moved += moves.limbs;
    EXPECT_LE(moved, 2 * moved_with_less) << "more room does not need many more moves";
    moved_with_less = moved;
    EXPECT_EQ(moved == 0, cap >= most);
  }
}

TEST(Residency, BelowTheLeastCapItSaysSo) {
  const Plan plan = test::small_plan();
  const Schedule schedule = make_schedule(plan);
  const std::uint64_t least = plan_residency(plan, schedule, [](int) { return kAll; }).least_limbs;
  for (std::uint64_t cap : {std::uint64_t{0}, std::uint64_t{1}, least - 1}) {
    const Residency r = plan_residency(plan, schedule, [&](int) { return cap; });
    EXPECT_FALSE(r.possible);
    EXPECT_EQ(r.least_limbs, least);
  }
}

}  // namespace
}  // namespace sotto::plan
