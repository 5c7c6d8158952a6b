#include "compiler/key_tiers.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/error.h"
#include "ckks/security.h"
#include "plan/cost.h"
#include "plan/schedule.h"
#include "plan/switch_work.h"

namespace sotto::compiler {

namespace {

// Keys of the same number are the same for the limbs that both have. More numbers would save time and share less.
constexpr int kNumbersOfSpecialPrimes[] = {2, 3, 5, 6, 7, 8, 10, 11, 13, 16, 20, ckks::kMostSpecialPrimes};

constexpr int kMostDigits = 8;

using Level = SwitchesAtLevel;

double read_seconds(const ckks::KeyTier& t, int log_n) {
  const double bytes =
      2.0 * t.digits() * (t.max_limbs + t.special) * std::ldexp(static_cast<double>(simd::kPackedBytes), log_n);
  return bytes * plan::kTypicalSpeed.key_byte / plan::speed_up(plan::kTypicalSpeed.threads);
}

// Hoisted rotations, which share some of the work, are counted as whole ones.
double switch_seconds(const ckks::KeyTier& t, const ckks::Level& level, int log_n) {
  return plan::SwitchWork{std::ldexp(1.0, log_n), level, t.special}.rotations(1).seconds(plan::kTypicalSpeed);
}

// Levels from the highest to the lowest, counted with a single tier, which plan.keys then holds.
std::vector<Level> levels_of(plan::Plan& plan, const plan::Schedule& schedule) {
  plan.keys.tiers = {{plan.parameters.ciphertext_primes, plan.parameters.special_primes}};
  if (plan.bootstrapping) plan.keys.tiers.push_back({1, 1, true});
  plan.keys.keys = plan::required_keys(plan, schedule);
  const plan::Cost cost = plan::estimate(plan, schedule);
  std::map<int, Level, std::greater<>> by_limbs;
  for (std::size_t s = 0; s < plan.steps.size(); ++s) {
    const plan::Step& step = plan.steps[s];
    if (step.slotwise()) {
      const double count = plan.tensors[static_cast<std::size_t>(step.output)].layout.ciphertexts();
      for (const auto& [sw, times] : plan::slotwise_switches(plan, step)) {
        if (sw.galois_element == ckks::kToEphemeral) continue;
        Level& level = by_limbs[sw.limbs];
        level.limbs = sw.limbs;
        level.switches[0] += times * count;
        level.galois_elements.insert(sw.galois_element);
      }
      continue;
    }
    Level& level = by_limbs[step.level.limbs];
    level.limbs = step.level.limbs;
    level.switches[step.level.absent] += static_cast<double>(cost.steps[s].key_switches);
    plan::Schedule part;
    for (const plan::Task& task : schedule.tasks)
      if (task.step == static_cast<int>(s)) part.tasks.push_back(task);
    // Squares of sums that were divided before are relinearised at a level of their own.
    const double squares =
        step.kind == plan::Kind::square ? plan.tensors[static_cast<std::size_t>(step.output)].layout.ciphertexts() : 0;
    const ckks::Level product = plan::levels_of(plan, step).product;
    Level& of_squares = by_limbs[product.limbs];
    of_squares.limbs = product.limbs;
    for (const ckks::KeyId& id : plan::required_keys(plan, part))
      (id.galois_element == ckks::kRelinearise ? of_squares : level).galois_elements.insert(id.galois_element);
    level.switches[step.level.absent] -= squares;
    of_squares.switches[product.absent] += squares;
  }
  std::vector<Level> levels;
  levels.reserve(by_limbs.size());
  for (auto& [limbs, level] : by_limbs) levels.push_back(std::move(level));
  return levels;
}

}  // namespace

int most_primes(int log_n, ckks::SecurityLevel level, int small_primes) {
  const ckks::SecurityRow* row = ckks::find_security_row(log_n, ckks::SecretDistribution::ternary, level);
  if (row == nullptr) return 0;
  const ckks::ParametersSpec spec{.prime_bits = kPrimeBits, .small_primes = small_primes};
  return static_cast<int>((row->max_log2_qp - small_primes * spec.small_prime_bits()) / kPrimeBits) + small_primes;
}

int special_primes(int limbs, int most) {
  for (int digits = 2; digits <= kMostDigits; ++digits) {
    const int least = (limbs + digits - 1) / digits + 1;
    const auto* number = std::ranges::lower_bound(kNumbersOfSpecialPrimes, least);
    if (number != std::end(kNumbersOfSpecialPrimes) && *number <= most) return *number;
  }
  return 0;
}

TierChoice choose_tiers(const std::vector<Level>& levels, int log_n, int primes) {
  const std::size_t count = levels.size();
  // The best tiers for a level and those below: the first of them serves the levels up to `end`.
  struct Choice {
    double price = HUGE_VAL, seconds = 0;
    std::size_t end = 0;
    ckks::KeyTier tier;
  };
  std::vector<Choice> best(count + 1);
  best[count].price = 0;
  for (std::size_t i = count; i-- > 0;) {
    for (int special : kNumbersOfSpecialPrimes) {
      const ckks::KeyTier tier{levels[i].limbs, special};
      if (tier.max_limbs + special > primes || tier.digits() > kMostDigits) continue;
      if (tier.digits() == 1 && tier.max_limbs > 1) continue;  // takes longer than its operations say (measured)
      std::set<std::uint64_t> galois_elements;
      double switching = 0;
      for (std::size_t j = i; j < count; ++j) {
        galois_elements.insert(levels[j].galois_elements.begin(), levels[j].galois_elements.end());
        for (const auto& [absent, times] : levels[j].switches)
          switching += times * switch_seconds(tier, {levels[j].limbs, absent}, log_n);
        const double reading = static_cast<double>(galois_elements.size()) * read_seconds(tier, log_n);
        const Choice& rest = best[j + 1];
        const double price = switching + kKeyPrice * reading + rest.price;
        if (price < best[i].price) best[i] = {price, switching + reading + rest.seconds, j + 1, tier};
      }
    }
  }
  check(best[0].price < HUGE_VAL, "no key serves a level");
  TierChoice choice{{}, best[0].seconds};
  for (std::size_t i = 0; i < count; i = best[i].end) choice.tiers.push_back(best[i].tier);
  return choice;
}

double choose_keys(plan::Plan& plan, const plan::Schedule& schedule, int primes) {
  TierChoice choice = choose_tiers(levels_of(plan, schedule), plan.parameters.log_n, primes);
  plan.keys.tiers = std::move(choice.tiers);
  plan.parameters.special_primes = 1;
  plan.parameters.primes_at_once = plan.parameters.ciphertext_primes + 1;  // of a public key
  for (const ckks::KeyTier& tier : plan.keys.tiers) {
    plan.parameters.special_primes = std::max(plan.parameters.special_primes, tier.special);
    plan.parameters.primes_at_once = std::max(plan.parameters.primes_at_once, tier.max_limbs + tier.special);
  }
  if (plan.bootstrapping) plan.keys.tiers.push_back({1, 1, true});
  plan.keys.keys = plan::required_keys(plan, schedule);
  return choice.seconds;
}

}  // namespace sotto::compiler
