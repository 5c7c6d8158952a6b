#pragma once

#include <cstdint>
#include <functional>

#include "bootstrap/bootstrap_spec.h"
#include "ckks/parameters.h"
#include "plan/plan.h"
#include "plan/work.h"

namespace sotto::plan {

/// The work of the parts of a key switch (ckks/evaluator.h) on polynomials of n words, for ciphertexts of `limbs` limbs
/// in a tier with `special` special primes.
struct SwitchWork {
  double n;
  int limbs, special;

  [[nodiscard]] int digits() const { return tier().digits(limbs); }
  [[nodiscard]] ckks::KeyTier tier() const { return {limbs, special}; }
  /// Limbs in words during a switch: the operand, its coefficients, the raised digits, and quotients and remainders of
  /// both polynomials; as much again as the digits while a key is read.
  [[nodiscard]] int scratch_limbs() const { return 5 * limbs + 2 * special + 2 * digits() * (limbs + special); }

  [[nodiscard]] Work mod_up() const;
  [[nodiscard]] Work inner_product() const;
  /// Both polynomials, by the special primes and, if asked, the last prime.
  [[nodiscard]] Work mod_down(bool rescale) const;
  [[nodiscard]] Work rotations(int count) const;
  [[nodiscard]] Work square(bool rescale = true) const;
};

/// Ciphertexts that are bootstrapped together: they share the transforms of the plaintexts.
inline constexpr int kBootstrappedTogether = 4;

/// Bootstrapping of one of `together` ciphertexts. special(limbs): special primes of the tier for a level.
Work bootstrap_work(const bootstrap::BootstrapSpec& spec, int log_n, int together,
                    const std::function<int(int)>& special);

/// Limbs, eight bytes a word, that bootstrapping `together` ciphertexts at once needs, plaintexts included.
std::uint64_t bootstrap_limbs(const bootstrap::BootstrapSpec& spec, int log_n, int together, int special);

/// What a step does with one ciphertext at this level once its terms are added: square, product, polynomial or
/// bootstrap, and the divisions.
Work finishing_work(const Plan& plan, const Step& step, int limbs, const std::function<int(int)>& special);

}  // namespace sotto::plan
