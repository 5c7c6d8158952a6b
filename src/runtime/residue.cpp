#include "runtime/residue.h"

#include <cmath>

#include "ring/primes.h"
#include "simd/tables.h"

namespace sotto::runtime {

using u64 = std::uint64_t;

u64 residue_of_large(double r, u64 q) {
  // A double is an integer of 53 bits times a power of two.
  if (std::abs(r) < 0x1p62) {
    const std::int64_t m = static_cast<std::int64_t>(r) % static_cast<std::int64_t>(q);
    return static_cast<u64>(m < 0 ? m + static_cast<std::int64_t>(q) : m);
  }
  int exponent = 0;
  const double magnitude = std::ldexp(std::frexp(std::abs(r), &exponent), 53);
  const u64 power = simd::pow_mod(2, static_cast<u64>(exponent - 53), q);
  const u64 m = ring::mul_mod(static_cast<u64>(magnitude) % q, power, q);
  return r < 0 && m != 0 ? q - m : m;
}

}  // namespace sotto::runtime
