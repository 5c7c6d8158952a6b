#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

namespace sotto::ckks {

/// Which ciphertext primes a ciphertext has: those numbered absent .. limbs - 1.
///
/// The primes that may be absent are the small ones, with which a chain may begin (ParametersSpec::small_primes).
struct Level {
  int limbs = 0;   ///< primes up to the last one, absent ones counted
  int absent = 0;  ///< of the first ones

  // A number of limbs is the level at which none is absent: all there is where no prime is small.
  Level(int up_to = 0, int without = 0) : limbs(up_to), absent(without) {}  // NOLINT(google-explicit-constructor)
  Level(bool, int = 0) = delete;

  /// Primes that are there.
  [[nodiscard]] int count() const { return limbs - absent; }
  /// Whether a ciphertext of this level can be brought to the other one by leaving primes out.
  [[nodiscard]] bool covers(const Level& o) const { return limbs >= o.limbs && absent <= o.absent; }
  [[nodiscard]] bool has(int prime) const { return prime >= absent && prime < limbs; }
  bool operator==(const Level&) const = default;
};

/// The lowest level that covers both.
inline Level join(const Level& a, const Level& b) { return {std::max(a.limbs, b.limbs), std::min(a.absent, b.absent)}; }

/// The highest level that both cover.
inline Level meet(const Level& a, const Level& b) { return {std::min(a.limbs, b.limbs), std::max(a.absent, b.absent)}; }

/// The size of a level in units. With F small primes a prime has F + 1 units and a small one F, so that some of both
/// make any number of them: F + 1 divisions by one unit less than a prime each take F primes off the modulus. Without
/// small primes a unit is a prime.
inline int units_of(const Level& level, int small_primes) {
  return (small_primes + 1) * (level.limbs - small_primes) + small_primes * (small_primes - level.absent);
}

/// The level of this size. Its primes that are not small may be fewer than one: then there is none of this size.
inline Level level_of_size(int units, int small_primes) {
  const int whole = small_primes + 1, small = (whole - units % whole) % whole;
  return {(units - small_primes * small) / whole + small_primes, small_primes - small};
}

/// By how much a division from one level to another divides scales: the primes that leave over those that join. primes:
/// those of `primes_of`.
double divisor(std::span<const std::uint64_t> primes, const Level& from, const Level& to);

}  // namespace sotto::ckks
