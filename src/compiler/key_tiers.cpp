#include "compiler/key_tiers.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/error.h"
#include "plan/cost.h"
#include "plan/schedule.h"

namespace sotto::compiler {

namespace {

// What the steps of one level need.
struct Level {
  int limbs = 0;
  double switches = 0;
  std::set<std::uint64_t> galois_elements;
};

double key_bytes(const ckks::KeyTier& t, int log_n) {
  return 2.0 * t.digits() * (t.max_limbs + t.special) * std::ldexp(static_cast<double>(simd::kPackedBytes), log_n);
}

// Transforms take most of the time of a switch. (Hoisted rotations, which share some, are counted as whole ones.)
double switch_seconds(const ckks::KeyTier& t, int limbs) {
  const double transforms = limbs + t.digits(limbs) * (limbs + t.special) + 2.0 * (limbs + t.special);
  return transforms * plan::kTypicalSpeed.transform / plan::speed_up(plan::kTypicalSpeed.threads);
}

// Levels from the highest to the lowest, counted with a single tier, which plan.keys then holds.
std::vector<Level> levels_of(plan::Plan& plan) {
  plan.keys.tiers = {{plan.parameters.ciphertext_primes, plan.parameters.special_primes}};
  if (plan.bootstrapping) plan.keys.tiers.push_back({1, 1, true});
  const plan::Schedule schedule = plan::make_schedule(plan);
  plan.keys.keys = plan::required_keys(plan, schedule);
  const plan::Cost cost = plan::estimate(plan);
  std::map<int, Level, std::greater<>> by_limbs;
  for (std::size_t s = 0; s < plan.steps.size(); ++s) {
    const plan::Step& step = plan.steps[s];
    if (step.slotwise()) {
      const double count = plan.tensors[static_cast<std::size_t>(step.output)].layout.ciphertexts();
      for (const auto& [sw, times] : plan::slotwise_switches(plan, step)) {
        if (sw.galois_element == ckks::kToEphemeral) continue;
        Level& level = by_limbs[sw.limbs];
        level.limbs = sw.limbs;
        level.switches += times * count;
        level.galois_elements.insert(sw.galois_element);
      }
      continue;
    }
    Level& level = by_limbs[step.limbs];
    level.limbs = step.limbs;
    level.switches += static_cast<double>(cost.steps[s].key_switches);
    plan::Schedule part;
    for (const plan::Task& task : schedule.tasks)
      if (task.step == static_cast<int>(s)) part.tasks.push_back(task);
    for (const ckks::KeyId& id : plan::required_keys(plan, part)) level.galois_elements.insert(id.galois_element);
  }
  std::vector<Level> levels;
  for (auto& [limbs, level] : by_limbs) levels.push_back(std::move(level));
  return levels;
}

}  // namespace

int special_primes(int limbs, int most) {
  for (int digits = 2; digits <= 8; ++digits) {
    const int special = (limbs + digits - 1) / digits + 1;
    if (special <= most) return special;
  }
  return 0;
}

double choose_keys(plan::Plan& plan) {
  const std::vector<Level> levels = levels_of(plan);
  const std::size_t count = levels.size();
  // best[i]: the least cost of levels i and below; next[i]: where the tier that begins at i ends.
  std::vector<double> best(count + 1, 0);
  std::vector<std::size_t> next(count, count);
  const auto tier_at = [&](std::size_t i) {
    return ckks::KeyTier{levels[i].limbs, special_primes(levels[i].limbs, plan.parameters.special_primes)};
  };
  for (std::size_t i = count; i-- > 0;) {
    const ckks::KeyTier tier = tier_at(i);
    best[i] = HUGE_VAL;
    std::set<std::uint64_t> galois_elements;
    double switching = 0;
    for (std::size_t j = i; j < count; ++j) {
      galois_elements.insert(levels[j].galois_elements.begin(), levels[j].galois_elements.end());
      switching += levels[j].switches * switch_seconds(tier, levels[j].limbs);
      const double reading = static_cast<double>(galois_elements.size()) * key_bytes(tier, plan.parameters.log_n) *
                             plan::kTypicalSpeed.key_byte / plan::speed_up(plan::kTypicalSpeed.threads);
      if (reading + switching + best[j + 1] < best[i]) {
        best[i] = reading + switching + best[j + 1];
        next[i] = j + 1;
      }
    }
  }
  plan.keys.tiers.clear();
  for (std::size_t i = 0; i < count; i = next[i]) plan.keys.tiers.push_back(tier_at(i));
  if (plan.bootstrapping) plan.keys.tiers.push_back({1, 1, true});
  plan.keys.keys = plan::required_keys(plan, plan::make_schedule(plan));
  return best[0];
}

}  // namespace sotto::compiler
