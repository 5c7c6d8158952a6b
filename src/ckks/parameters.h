#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ckks/level.h"
#include "ckks/security_level.h"
#include "ring/ring.h"

namespace sotto::ckks {

/// What a caller may choose. `Parameters::create` checks it.
struct ParametersSpec {
  int log_n = 16;  ///< 12 .. 17
  ring::RingKind kind = ring::RingKind::conjugate_invariant;
  int ciphertext_primes = 0;  ///< limbs of a fresh ciphertext, 1 .. 64
  int special_primes = 0;     ///< 1 .. kMostSpecialPrimes
  int prime_bits = 48;        ///< size of every prime that is not small, 30 .. 48
  /// Most primes, of both sorts together, of a single key or ciphertext: security depends on these alone. Above
  /// ciphertext_primes, since a public key has a special prime beside those. 0: all.
  int primes_at_once = 0;
  SecurityLevel security = SecurityLevel::classical128;  ///< what they claim
  /// The first so many ciphertext primes are small, 0 .. kMostSmallPrimes: with F of them they have F / (F + 1) of the
  /// bits of the others, and levels come in steps of 1 / (F + 1) of these (docs/adr/0048).
  int small_primes = 0;

  /// The level of the first so many primes that are not small.
  [[nodiscard]] Level whole(int limbs) const { return {small_primes + limbs, small_primes}; }
  [[nodiscard]] int small_prime_bits() const { return prime_bits * small_primes / (small_primes + 1); }
  [[nodiscard]] int most_at_once() const {
    return primes_at_once > 0 ? primes_at_once : ciphertext_primes + special_primes;
  }
  bool operator==(const ParametersSpec& o) const {
    return log_n == o.log_n && kind == o.kind && ciphertext_primes == o.ciphertext_primes &&
           special_primes == o.special_primes && prime_bits == o.prime_bits && most_at_once() == o.most_at_once() &&
           security == o.security && small_primes == o.small_primes;
  }
};

/// With more of them levels would be finer than any layer needs.
inline constexpr int kMostSmallPrimes = 7;

/// More than any plan has: half of what the security table leaves at 48 bits a prime and rank 2^16, and some.
inline constexpr int kMostSpecialPrimes = 24;

/// Whether two sets have the same ring, but for the numbers of primes, and claim the same security: then primes of the
/// same number and the secret are the same, and keys can serve both.
bool same_ring(const ParametersSpec& a, const ParametersSpec& b);

/// The small primes, the other ciphertext primes, then the special primes. Of the largest primes of that size that are
/// 1 modulo the cyclotomic order, in descending order, the first kMostSpecialPrimes are kept for special ones and the
/// others are ciphertext primes, so that prime number i of either sort is the same in all parameter sets of a ring.
std::vector<std::uint64_t> primes_of(const ParametersSpec& spec);

/// A set of key-switching keys that serves all ciphertexts of at most `max_limbs` limbs: raised by the first
/// `special` special primes. Lower tiers have smaller keys and cheaper switches.
///
/// Digits have one limb less than there are special primes (one if there is a single one): the noise of a switch is
/// about 2^17 times (product of a digit) / (product of the special primes), so the extra prime makes it vanish in the
/// rounding.
///
/// The ephemeral tier holds one key only: the one that leads to the ephemeral sparse secret of bootstrapping. Its
/// modulus is kept small, for that secret is safe under small moduli only (docs/adr/0016).
struct KeyTier {
  int max_limbs = 0;
  int special = 0;
  bool ephemeral = false;

  [[nodiscard]] int digit_limbs() const { return special > 1 ? special - 1 : 1; }
  /// The digit with this limb; every digit_limbs() of them are one.
  [[nodiscard]] int digit_of(int limb) const { return limb / digit_limbs(); }
  /// Digits of a ciphertext of this level, of which the first is digit_of(level.absent).
  [[nodiscard]] int digits(const Level& level) const { return digit_of(level.limbs - 1) - digit_of(level.absent) + 1; }
  [[nodiscard]] int digits() const { return digits(max_limbs); }
  bool operator==(const KeyTier&) const = default;
};

/// Index of the smallest tier for ciphertexts of this many limbs, and of the ephemeral tier; -1 if there is none.
int tier_for(std::span<const KeyTier> tiers, int limbs);
int ephemeral_tier(std::span<const KeyTier> tiers);

/// An immutable, checked parameter set: the only way to one from outside the tests is `create`.
class Parameters {
 public:
  /// Throws Error{bad_input} unless the security table has a row for the ring at the level that the parameters claim
  /// and log2_qp() is within it, and every field is in range.
  static Parameters create(const ParametersSpec& spec);

  [[nodiscard]] const ParametersSpec& spec() const { return spec_; }
  /// See primes_of.
  [[nodiscard]] const std::vector<std::uint64_t>& primes() const { return primes_; }
  /// log2 of the largest modulus of a key or ciphertext.
  [[nodiscard]] double log2_qp() const;
  /// Bits of the level, which the table vouches for; 0 for the toy sets of the tests.
  [[nodiscard]] int security_bits() const { return security_bits_; }

  /// The ring with these primes.
  [[nodiscard]] std::shared_ptr<const ring::Ring> make_ring(const simd::Kernels& kernels,
                                                            std::size_t memory_limit_bytes = 0) const;

 private:
  friend struct ToyParameters;  // tests/support: small rings without security
  Parameters(const ParametersSpec& spec, int security_bits);

  ParametersSpec spec_;
  std::vector<std::uint64_t> primes_;
  int security_bits_ = 0;
};

}  // namespace sotto::ckks
