#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "plan/plan.h"
#include "plan/schedule.h"

namespace sotto::compiler {

/// The ring and the primes of all plans.
inline constexpr int kLogN = 16, kPrimeBits = 48;

/// Small primes of plans that bootstrap nothing: divisions by 36 bits, which most layers can do with, or by 12 more.
inline constexpr int kSmallPrimes = 3;

/// Primes, special ones included and so many of them small, that one key may have at a level of security; 0 where the
/// table has no row.
int most_primes(int log_n, ckks::SecurityLevel level, int small_primes = 0);

/// Special primes for key switches of `limbs` limbs in the fewest digits, two at least, that `most` special primes
/// allow: one more than a digit has limbs, rounded up to one of a few numbers, so that plans of one ring can share keys
/// (docs/adr/0031). 0 if even eight digits are too few.
int special_primes(int limbs, int most);

/// What a key costs over what reading it once takes: someone makes, sends and holds it, too. (Keys that are the
/// beginning of a longer one are priced as others.)
inline constexpr double kKeyPrice = 8;

/// What the steps of the levels with so many limbs need.
struct SwitchesAtLevel {
  int limbs = 0;
  std::map<int, double> switches;  ///< how many key switches, by absent limbs
  std::set<std::uint64_t> galois_elements;
};

/// Tiers and what they cost.
struct TierChoice {
  std::vector<ckks::KeyTier> tiers;  ///< highest first
  double seconds = 0;                ///< to read the keys once and to switch
};

/// The tiers that make keys and switching with them cheapest together, for levels from the highest to the lowest. No
/// key gets more than so many primes.
///
/// Lower tiers switch faster but bring keys of their own. Tiers begin at levels that are used, so the best choice is a
/// shortest path over those levels and over the numbers of special primes. Seconds are by rough figures of a typical
/// processor with two threads.
TierChoice choose_tiers(const std::vector<SwitchesAtLevel>& levels, int log_n, int primes);

/// Sets plan.keys: tiers as choose_tiers finds them, and the keys of each; plan.parameters then has as many special
/// primes, and primes at once, as the keys use. schedule: the plan's. Returns the seconds.
double choose_keys(plan::Plan& plan, const plan::Schedule& schedule, int primes);

}  // namespace sotto::compiler
