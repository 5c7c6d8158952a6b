#include "training/compile.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>

#include "base/error.h"
#include "compiler/key_tiers.h"
#include "training/optimiser.h"

namespace sotto::training {

namespace {

constexpr int kPrimeBits = 48;
constexpr double kPeakBits = 44;      // of what comes in to be bootstrapped, as in inference
constexpr double kLeastBits = 31;     // of any scale: rounding a product makes an error of 2^14
constexpr int kMostSpecial = ckks::kMostSpecialPrimes;
constexpr int kBits[] = {40, 44, 36, 48, 32};  // of the free scales, the likeliest first

std::optional<LoweredStep> attempt(const Step& step, const Arrangement& arrangement, const LevelChoice& choice,
                                   const std::vector<std::uint64_t>& primes, double range) {
  try {
    return lower(step, arrangement, choice, primes, range);
  } catch (const Error& e) {
    if (e.code() != ErrorCode::no_resources) throw;
    return std::nullopt;
  }
}

std::vector<compiler::SwitchesAtLevel> levels_of(const program::Program& program, int log_n) {
  std::map<int, compiler::SwitchesAtLevel, std::greater<>> by_limbs;
  for (const program::Instruction& i : program.instructions)
    for (const auto& [s, times] : program::switches_of(program, i, log_n)) {
      if (s.galois_element == ckks::kToEphemeral) continue;
      compiler::SwitchesAtLevel& level = by_limbs[s.limbs];
      level.limbs = s.limbs;
      level.switches += times;
      level.galois_elements.insert(s.galois_element);
    }
  std::vector<compiler::SwitchesAtLevel> list;
  for (auto& [limbs, level] : by_limbs) list.push_back(std::move(level));
  return list;
}

// A program with as few levels as possible; nothing if the ring has too few.
std::optional<LevelChoice> choose_levels(const Step& step, const Arrangement& arrangement,
                                         const std::vector<std::uint64_t>& primes, double range, int most_primes) {
  for (int left = 1;; ++left) {  // limbs that bootstrapping leaves beyond those that it needs
    bootstrap::BootstrapSpec spec{.input_peak = std::exp2(kPeakBits)};
    if (arrangement.log_n < 12) spec.slots_to_coeffs_factors = spec.coeffs_to_slots_factors = 2;
    spec.raised_limbs = spec.depth() + spec.input_limbs() + left;
    if (compiler::special_primes(spec.raised_limbs, most_primes - spec.raised_limbs) == 0) return std::nullopt;
    for (int image_bits : kBits)
      for (int state_bits : kBits) {
        const LevelChoice choice{spec, std::exp2(state_bits), std::exp2(image_bits), std::exp2(kLeastBits)};
        if (attempt(step, arrangement, choice, primes, range)) return choice;
      }
  }
}

}  // namespace

TrainingPlan compile(Step step, const Spec& spec, const RingLimits& limits) {
  TrainingPlan plan;
  plan.spec = spec;
  plan.step = std::move(step);
  plan.arrangement = arrange(plan.step, spec.batch, limits.log_n);
  const int most = limits.primes > 0 ? limits.primes : compiler::most_primes(limits.log_n, kPrimeBits);
  plan.parameters = {.log_n = limits.log_n,
                     .kind = ring::RingKind::conjugate_invariant,
                     .ciphertext_primes = most - 1,
                     .special_primes = 1,
                     .prime_bits = kPrimeBits};
  const std::optional<LevelChoice> levels =
      choose_levels(plan.step, plan.arrangement, ckks::primes_of(plan.parameters), spec.range, most);
  if (!levels)
    throw Error(ErrorCode::no_resources,
                "a training step of this network needs more levels than bootstrapping leaves at 128-bit security; train "
                "fewer of its last layers");
  plan.levels = *levels;
  plan.parameters.ciphertext_primes = levels->bootstrapping.raised_limbs;
  plan.parameters.primes_at_once = plan.parameters.ciphertext_primes + 1;
  const LoweredStep lowered = lower(plan);
  plan.keys.tiers = compiler::choose_tiers(levels_of(lowered.program, limits.log_n), limits.log_n, most).tiers;
  for (const ckks::KeyTier& tier : plan.keys.tiers) {
    plan.parameters.special_primes = std::max(plan.parameters.special_primes, tier.special);
    plan.parameters.primes_at_once = std::max(plan.parameters.primes_at_once, tier.max_limbs + tier.special);
  }
  plan.keys.tiers.push_back({1, 1, true});
  plan.keys.keys = program::required_keys(lowered.program, plan.keys.tiers, limits.log_n);
  return plan;
}

LoweredStep lower(const TrainingPlan& plan) {
  return lower(plan.step, plan.arrangement, plan.levels, ckks::primes_of(plan.parameters), plan.spec.range);
}

std::vector<double> coefficients_of(const TrainingPlan& plan, int step) {
  const Update u = update_of(plan.spec, step);
  return {u.ww, u.wu, u.wg, u.uw, u.uu, u.ug};
}

}  // namespace sotto::training
