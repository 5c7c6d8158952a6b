#pragma once

#include <cstdint>
#include <functional>

#include "bootstrap/bootstrap_spec.h"
#include "ckks/parameters.h"
#include "plan/plan.h"
#include "plan/work.h"

namespace sotto::plan {

/// The work of the parts of a key switch (ckks/evaluator.h) on polynomials of n words, for ciphertexts of a level in a
/// tier with `special` special primes.
struct SwitchWork {
  double n;
  ckks::Level level;
  int special;

  [[nodiscard]] int limbs() const { return level.count(); }
  [[nodiscard]] int digits() const { return tier().digits(level); }
  [[nodiscard]] ckks::KeyTier tier() const { return {level.limbs, special}; }
  /// Limbs in words during a switch: the operand, its coefficients, the raised digits, and quotients and remainders of
  /// both polynomials; as much again as the digits while a key is read.
  [[nodiscard]] int scratch_limbs() const { return 5 * limbs() + 2 * special + 2 * digits() * (limbs() + special); }

  [[nodiscard]] Work mod_up() const;
  [[nodiscard]] Work inner_product() const;
  /// Both polynomials, to this level.
  [[nodiscard]] Work mod_down(const ckks::Level& to) const;
  [[nodiscard]] Work rotations(int count) const;
  /// To the same level with one prime less, or to this one.
  [[nodiscard]] Work square() const { return square({level.limbs - 1, level.absent}); }
  [[nodiscard]] Work square(const ckks::Level& to) const;
};

/// Ciphertexts that are bootstrapped together: they share the transforms of the plaintexts.
inline constexpr int kBootstrappedTogether = 4;

/// Bootstrapping of one of `together` ciphertexts. special(limbs): special primes of the tier for a level.
Work bootstrap_work(const bootstrap::BootstrapSpec& spec, int log_n, int together,
                    const std::function<int(int)>& special);

/// Limbs, eight bytes a word, that bootstrapping `together` ciphertexts at once needs, plaintexts included.
std::uint64_t bootstrap_limbs(const bootstrap::BootstrapSpec& spec, int log_n, int together, int special);

/// What a step does with one ciphertext at this level once its terms are added: square, product, polynomial or
/// bootstrap, and the divisions. special(limbs): special primes of the tier for so many limbs, absent ones counted.
Work finishing_work(const Plan& plan, const Step& step, const ckks::Level& level,
                    const std::function<int(int)>& special);

}  // namespace sotto::plan
