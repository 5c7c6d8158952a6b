// Key tiers against a search over all of them.
#include "compiler/key_tiers.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "plan/cost.h"
#include "plan/schedule.h"
#include "plan/switch_work.h"
#include "plan/verify.h"
#include "support/plan_builder.h"

namespace sotto::compiler {
namespace {

using namespace test::kinds;

// A plan of `depth` squares over 4 x 4 pixels whose kernels, and so whose rotations, differ from level to level.
plan::Plan deep_plan(int log_n, int group, int depth, bool one_image) {
  const int primes = group > 1 ? 2 : 1;
  if (one_image) log_n = 4 + std::countr_zero(static_cast<unsigned>(group));
  test::PlanBuilder b(log_n, 4, {3, 4, 4, 1, 1, group}, (depth + 1) * primes, primes);
  b.plan.parameters.special_primes = (depth + 1) * primes / 2 + 2;
  b.baby = std::min(group, 2);
  int x = 0;
  for (int d = 0; d < depth; ++d) {
    const int channels = 1 + d % 3 * 2, kernel = d % 2 == 0 ? 3 : d % 3 == 0 ? 1 : 5;
    x = b.step({b.convolution(x, channels, kernel, 1, kernel / 2)}, {channels, 4, 4, 1, 1}, square);
  }
  b.step({b.full(x, 3)}, {3, 1, 1, 1, 4}, keep);
  b.plan.keys.tiers = {{b.plan.parameters.ciphertext_primes, b.plan.parameters.special_primes}};
  return b.build();
}

// With all the primes that the plan had before.
double choose(plan::Plan& p) { return choose_keys(p, plan::make_schedule(p), p.parameters.most_at_once()); }

std::vector<plan::Plan> plans() {
  std::vector<plan::Plan> out;
  for (int depth : {0, 1, 2, 5, 8}) {
    out.push_back(deep_plan(8, 1, depth, false));
    out.push_back(deep_plan(16, 1, depth, false));
    out.push_back(deep_plan(14, 4, depth, false));
    out.push_back(deep_plan(0, 8, depth, true));
  }
  return out;
}

// Seconds with the plan's tiers, counted from the keys and switches of every step. price: of reading a key.
double seconds(const plan::Plan& p, double price) {
  const double kSecondsPerByte = price * plan::kTypicalSpeed.key_byte / plan::speed_up(plan::kTypicalSpeed.threads);
  double sum = 0;
  for (const ckks::KeyId& id : plan::required_keys(p, plan::make_schedule(p))) {
    const ckks::KeyTier& t = p.keys.tiers[static_cast<std::size_t>(id.tier)];
    const double limbs = 2.0 * t.digits() * (t.max_limbs + t.special);  // two polynomials per digit
    sum += kSecondsPerByte * limbs * 6 * std::exp2(p.parameters.log_n);
  }
  const plan::Cost cost = plan::estimate(p);
  for (std::size_t s = 0; s < p.steps.size(); ++s) {
    const int limbs = p.steps[s].level.limbs;
    const ckks::KeyTier& t = p.keys.tiers[static_cast<std::size_t>(plan::tier_of(p, limbs))];
    sum += static_cast<double>(cost.steps[s].key_switches) *
           plan::SwitchWork{std::exp2(p.parameters.log_n), limbs, t.special}.rotations(1).seconds(plan::kTypicalSpeed);
  }
  return sum;
}

// The plan with tiers that begin at these levels.
plan::Plan with_tiers(plan::Plan p, const std::vector<int>& from) {
  p.keys.tiers.clear();
  for (int limbs : from) p.keys.tiers.push_back({limbs, special_primes(limbs, p.parameters.special_primes)});
  p.keys.keys = plan::required_keys(p, plan::make_schedule(p));
  return p;
}

TEST(ChooseKeys, NoOtherTiersAreCheaper) {
  std::set<std::size_t> counts;
  for (const plan::Plan& given : plans()) {
    plan::Plan p = given;
    const double claimed = choose(p), chosen = seconds(p, kKeyPrice), alone = seconds(p, 1);
    EXPECT_NEAR(claimed, alone, 1e-9 * alone);
    std::set<int, std::greater<>> distinct;
    for (const plan::Step& s : p.steps) distinct.insert(s.level.limbs);
    const std::vector<int> levels(distinct.begin(), distinct.end());
    for (unsigned which = 0; which < 1u << (levels.size() - 1); ++which) {  // levels that begin a tier
      std::vector<int> from{levels[0]};
      for (std::size_t l = 1; l < levels.size(); ++l)
        if ((which >> (l - 1) & 1) != 0) from.push_back(levels[l]);
      EXPECT_LE(chosen, seconds(with_tiers(given, from), kKeyPrice) * (1 + 1e-9)) << which;
    }
    counts.insert(p.keys.tiers.size());
  }
  EXPECT_GE(counts.size(), 3u) << "one tier, several, many: the plans are different enough";
}

TEST(ChooseKeys, TiersServeEveryLevelAndHaveAllKeys) {
  for (plan::Plan p : plans()) {
    choose(p);
    EXPECT_NO_THROW(plan::verify(p));
    EXPECT_EQ(p.keys.tiers.front().max_limbs, p.steps.front().level.limbs);
    std::set<int> used;
    for (const ckks::KeyId& id : p.keys.keys) used.insert(id.tier);
    for (std::size_t t = 0; t < p.keys.tiers.size(); ++t) {
      const ckks::KeyTier& tier = p.keys.tiers[t];
      EXPECT_TRUE(used.contains(static_cast<int>(t))) << "no tier without keys";
      EXPECT_LE(tier.digits(), 8);
      EXPECT_TRUE(t == 0 || tier.max_limbs < p.keys.tiers[t - 1].max_limbs);
    }
  }
}

TEST(ChooseKeys, TheSameFromAnyTiersBefore) {
  for (const plan::Plan& given : plans()) {
    plan::Plan once = given, twice = given;
    choose(once);
    choose(twice);
    choose(twice);
    EXPECT_EQ(once.keys.tiers, twice.keys.tiers);
    EXPECT_EQ(once.keys.keys, twice.keys.keys);
  }
}

TEST(SpecialPrimes, FewestDigitsThatFit) {
  EXPECT_EQ(special_primes(20, 24), 11) << "two digits of ten limbs";
  EXPECT_EQ(special_primes(20, 10), 8) << "three digits";
  EXPECT_EQ(special_primes(20, 5), 5) << "five digits";
  EXPECT_EQ(special_primes(20, 3), 0) << "ten digits";
  EXPECT_EQ(special_primes(1, 2), 2);
  EXPECT_EQ(special_primes(1, 1), 0);
  for (int limbs = 1; limbs <= 46; ++limbs)
    for (int most = -1; most <= 24; ++most) {
      const int special = special_primes(limbs, most);
      if (special == 0) continue;
      EXPECT_TRUE(special >= 2 && special <= most) << limbs << " " << most;
      EXPECT_LE((ckks::KeyTier{limbs, special}.digits()), 8) << limbs << " " << most;
      EXPECT_EQ(special, special_primes(limbs, special)) << "no fewer primes give as few digits";
      for (int fewer = 0; fewer < most; ++fewer) {
        const int other = special_primes(limbs, fewer);
        if (other > 0) {
          EXPECT_GE((ckks::KeyTier{limbs, other}.digits()), (ckks::KeyTier{limbs, special}.digits()));
        }
      }
    }
}

// Networks whose levels differ by a few have keys of the same numbers of special primes.
TEST(SpecialPrimes, AlikeForNeighbouringLevels) {
  for (int limbs = 21; limbs <= 23; ++limbs) EXPECT_EQ(special_primes(limbs, 36 - limbs), 13) << limbs;
  for (int limbs = 24; limbs <= 26; ++limbs) EXPECT_EQ(special_primes(limbs, 36 - limbs), 10) << limbs;
}

}  // namespace
}  // namespace sotto::compiler
