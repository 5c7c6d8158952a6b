// Keys and costs of plans with activations and bootstrapping, counted directly.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "ckks/chebyshev.h"
#include "plan/cost.h"
#include "plan/schedule.h"
#include "plan/switch_work.h"
#include "support/plan_builder.h"

namespace sotto::plan {
namespace {

using namespace test::kinds;

// slotwise_plan(): 18 limbs in tiers of 18 and 2 limbs and the ephemeral one; bootstrapping in steps 3 and 4.
constexpr int kEphemeralTier = 2;

int tier_for(int limbs) { return limbs <= 2 ? 1 : 0; }

std::set<ckks::KeyId> keys_of_bootstrap(const Plan& p) {
  std::set<ckks::KeyId> keys;
  for (const auto& [s, times] : bootstrap::required_switches(*p.bootstrapping, p.parameters.log_n))
    keys.insert({s.galois_element == ckks::kToEphemeral ? kEphemeralTier : tier_for(s.limbs), s.galois_element});
  return keys;
}

TEST(SlotwiseKeys, OfActivationsAreRelinearisationsAtTheirLevels) {
  const Plan p = test::slotwise_plan();
  std::map<int, std::set<ckks::KeyId>> keys;
  for (const Task& task : make_schedule(p).tasks) keys[task.step].merge(keys_of(p, task));
  EXPECT_EQ(keys[1], (std::set<ckks::KeyId>{{0, ckks::kRelinearise}}));
  EXPECT_EQ(keys[6], (std::set<ckks::KeyId>{{0, ckks::kRelinearise}, {1, ckks::kRelinearise}}))
      << "from six limbs down to one";
  EXPECT_EQ(keys[3], keys_of_bootstrap(p));
  EXPECT_EQ(keys[4], keys_of_bootstrap(p));
  EXPECT_TRUE(keys[3].contains({kEphemeralTier, ckks::kToEphemeral}));
  EXPECT_TRUE(keys[3].contains({0, ckks::kFromEphemeral}));
}

TEST(SlotwiseKeys, OfThePlanAreThoseOfItsTasks) {
  for (int group : {1, 4}) {
    const Plan p = test::slotwise_plan(group);
    const Schedule schedule = make_schedule(p);
    std::set<ckks::KeyId> keys;
    for (const Task& task : schedule.tasks) keys.merge(keys_of(p, task));
    EXPECT_EQ(required_keys(p, schedule), std::vector<ckks::KeyId>(keys.begin(), keys.end()));
    std::map<std::uint64_t, int> special;
    for (const ckks::KeyId& id : keys)
      if (id.galois_element % 2 == 0) ++special[id.galois_element];
    EXPECT_EQ(special[ckks::kToEphemeral], 1);
    EXPECT_EQ(special[ckks::kFromEphemeral], 1);
  }
}

TEST(SlotwiseKeys, AreUsedFromTheFirstToTheLastTaskThatNeedsThem) {
  const Plan p = test::slotwise_plan();
  const Schedule schedule = make_schedule(p);
  int first = -1, last = -1;
  for (int t = 0; t < static_cast<int>(schedule.tasks.size()); ++t) {
    if (p.steps[static_cast<std::size_t>(schedule.tasks[static_cast<std::size_t>(t)].step)].kind != Kind::bootstrap)
      continue;
    if (first < 0) first = t;
    last = t;
  }
  EXPECT_EQ(last - first, 7) << "two steps of four phases";
  const auto spans = key_spans(p, schedule);
  const TaskSpan& ephemeral = spans.at({kEphemeralTier, ckks::kToEphemeral});
  EXPECT_EQ(ephemeral.first, first);
  EXPECT_EQ(ephemeral.last, last);
  EXPECT_EQ(spans.size(), required_keys(p, schedule).size());
  for (const auto& [id, span] : spans)
    for (int t = 0; t < static_cast<int>(schedule.tasks.size()); ++t) {
      const bool needed = keys_of(p, schedule.tasks[static_cast<std::size_t>(t)]).contains(id);
      if (t == span.first || t == span.last)
        EXPECT_TRUE(needed);
      else if (t < span.first || t > span.last)
        EXPECT_FALSE(needed);
    }
}

TEST(SlotwiseSchedule, TasksReadTheirPhaseAsItIs) {
  for (int group : {1, 4}) {
    const Plan p = test::slotwise_plan(group);
    for (const Task& task : make_schedule(p).tasks) {
      const Step& step = p.steps[static_cast<std::size_t>(task.step)];
      if (!step.slotwise()) continue;
      ASSERT_EQ(task.taps.size(), 1u);
      EXPECT_EQ(task.taps[0].source, (Source{step.terms[0].source, task.phase, 0}));
      EXPECT_EQ(task.first_giant, 0);
      EXPECT_EQ(task.last_giant, 0);
    }
  }
}

TEST(SlotwiseCost, TiersOfTheEphemeralSecretServeNoLevel) {
  Plan p = test::slotwise_plan();
  EXPECT_EQ(tier_of(p, 1), 1);
  p.keys.tiers[1].max_limbs = 3;
  EXPECT_EQ(tier_of(p, 1), 1) << "not the ephemeral one, although it is smaller";
}

TEST(SlotwiseCost, ActivationsSideBySideNeedMemoryEach) {
  const Plan p = test::slotwise_plan(1, 12);
  const Cost two = estimate(p, 2), many = estimate(p, 96);
  int more = 0;
  for (std::size_t s = 0; s < p.steps.size(); ++s) {
    if (p.steps[s].kind != Kind::activate) continue;
    EXPECT_GE(many.steps[s].peak_bytes, two.steps[s].peak_bytes) << s;
    const int results = p.tensors[static_cast<std::size_t>(p.steps[s].output)].layout.blocks();
    if (results == 1) continue;
    EXPECT_GT(many.steps[s].peak_bytes, two.steps[s].peak_bytes) << s;
    ++more;
  }
  EXPECT_GT(more, 0);
}

TEST(SlotwiseCost, StepsTakeTimeAndMemory) {
  for (int group : {1, 4}) {
    const Plan p = test::slotwise_plan(group, 12);
    const Cost cost = estimate(p, 2);
    const double limb = std::ldexp(8.0, p.parameters.log_n);
    for (std::size_t s = 0; s < p.steps.size(); ++s) {
      const Step& step = p.steps[s];
      if (!step.slotwise()) continue;
      EXPECT_GT(cost.steps[s].activate.seconds(kTypicalSpeed), 0) << s;
      EXPECT_EQ(cost.steps[s].linear.seconds(kTypicalSpeed), 0) << s;
      int switches = 0;
      for (const auto& [sw, times] : slotwise_switches(p, step)) switches += times;
      const int ciphertexts = p.tensors[static_cast<std::size_t>(step.output)].layout.ciphertexts();
      EXPECT_EQ(cost.steps[s].key_switches, static_cast<std::size_t>(switches * ciphertexts)) << s;
      if (step.kind == Kind::bootstrap) {
        const int together = std::min(kBootstrappedTogether, ciphertexts / 4);  // of one phase
        const std::uint64_t limbs = bootstrap_limbs(*p.bootstrapping, p.parameters.log_n, together, 4);
        EXPECT_GT(static_cast<double>(cost.steps[s].peak_bytes), limb * static_cast<double>(limbs)) << s;
        EXPECT_GT(cost.steps[s].seconds(kTypicalSpeed), cost.steps[1].seconds(kTypicalSpeed))
            << "bootstrapping takes longer than an activation";
      }
    }
    EXPECT_GT(cost.seconds(kTypicalSpeed), 0);
  }
}

TEST(SlotwiseCost, RelinearisationsAreAtLeastTheProductsOfAPolynomial) {
  const Plan p = test::slotwise_plan();
  for (std::size_t s : {std::size_t{1}, std::size_t{6}}) {
    const Step& step = p.steps[s];
    int products = step.activation.gate ? 1 : 0;
    for (const auto& factor : step.activation.factors) products += ckks::chebyshev_products(factor);
    int switches = 0, lowest = step.level.limbs;
    for (const auto& [sw, times] : slotwise_switches(p, step)) {
      EXPECT_EQ(sw.galois_element, ckks::kRelinearise);
      EXPECT_LE(sw.limbs, step.level.limbs);
      switches += times;
      lowest = std::min(lowest, sw.limbs);
    }
    EXPECT_GE(switches, products);
    EXPECT_LE(switches, products + step.activation.depth());
    EXPECT_EQ(lowest, p.tensors[static_cast<std::size_t>(step.output)].level.limbs + 1);
  }
}

TEST(SlotwiseCost, KeysCountWithTheirDigits) {
  const Plan p = test::slotwise_plan();
  const Cost cost = estimate(p);
  std::uint64_t files = 0, memory = 0;
  for (const ckks::KeyId& id : p.keys.keys) {
    const ckks::KeyTier& tier = p.keys.tiers[static_cast<std::size_t>(id.tier)];
    // Six digits of three limbs each; the two keys of the ephemeral secret have one.
    const int digits = id.galois_element == ckks::kToEphemeral || id.galois_element == ckks::kFromEphemeral ? 1
                       : id.tier == 0                                                                       ? 6
                                                                                                            : 2;
    const auto limbs = static_cast<std::uint64_t>(digits * (tier.max_limbs + tier.special));
    EXPECT_EQ(expanded_key_limbs(p, id), 2 * limbs);
    files += 32 + (limbs << p.parameters.log_n) * 6;
    memory += 2 * (limbs << p.parameters.log_n) * 6;
  }
  EXPECT_EQ(cost.eval_key_bytes, files);
  EXPECT_EQ(cost.all_keys_bytes, memory);
}

TEST(SlotwiseCost, KeysAreInMemoryFromTheirFirstUseToTheEndOfTheirTier) {
  const Plan p = test::slotwise_plan(1, 12);
  const Cost cost = estimate(p, 1);
  std::uint64_t before = 0, after = 0;  // keys of the upper tier that the first step needs, and all of them
  const auto first = keys_of(p, make_schedule(p).tasks.front());
  for (const ckks::KeyId& id : p.keys.keys) {
    if (id.tier != 0) continue;
    after += expanded_key_limbs(p, id) * 6 << p.parameters.log_n;
    if (first.contains(id)) before += expanded_key_limbs(p, id) * 6 << p.parameters.log_n;
  }
  EXPECT_GT(cost.steps[0].peak_bytes, before);
  EXPECT_GT(cost.steps[3].peak_bytes - cost.steps[0].peak_bytes, (after - before) / 2) << "those of bootstrapping";
  EXPECT_GT(cost.steps[6].peak_bytes, after);
}

TEST(SlotwiseCost, BootstrapsAreCounted) {
  EXPECT_EQ(bootstraps(test::small_plan()), 0);
  EXPECT_EQ(bootstraps(test::slotwise_plan()), 2 * 5 * 4) << "two tensors of five channels over four phases";
  EXPECT_EQ(bootstraps(test::slotwise_plan(4)), 2 * 2 * 4);
}

TEST(SlotwiseCost, MoreCiphertextsTogetherShareTransforms) {
  const bootstrap::BootstrapSpec spec{.raised_limbs = 29, .input_peak = 0x1p40};
  const auto special = [](int) { return 7; };
  double last = HUGE_VAL;
  std::uint64_t limbs = 0;
  for (int together : {1, 2, 4}) {
    const double seconds = bootstrap_work(spec, 16, together, special).seconds(kTypicalSpeed);
    EXPECT_GT(seconds, 0);
    EXPECT_LT(seconds, last);
    EXPECT_GT(bootstrap_limbs(spec, 16, together, 7), limbs);
    last = seconds;
    limbs = bootstrap_limbs(spec, 16, together, 7);
  }
}

}  // namespace
}  // namespace sotto::plan
