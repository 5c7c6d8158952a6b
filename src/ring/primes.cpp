#include "ring/primes.h"

#include <cmath>

#include "base/error.h"
#include "simd/tables.h"

namespace sotto::ring {

namespace {
__extension__ using u128 = unsigned __int128;
}

std::uint64_t mul_mod(std::uint64_t a, std::uint64_t b, std::uint64_t q) {
  return static_cast<std::uint64_t>(static_cast<u128>(a) * b % q);
}

std::uint64_t inverse_mod(std::uint64_t a, std::uint64_t q) { return simd::pow_mod(a, q - 2, q); }

bool is_prime(std::uint64_t n) {
  // The first twelve primes are enough bases below 3.3e24 (Sorenson and Webster, 2015).
  constexpr std::uint64_t bases[] = {2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37};
  if (n < 2) return false;
  for (std::uint64_t p : bases)
    if (n % p == 0) return n == p;
  std::uint64_t odd = n - 1;
  int twos = 0;
  while (odd % 2 == 0) {
    odd /= 2;
    ++twos;
  }
  for (std::uint64_t a : bases) {
    std::uint64_t x = simd::pow_mod(a, odd, n);
    if (x == 1 || x == n - 1) continue;
    bool composite = true;
    for (int i = 1; i < twos && composite; ++i) {
      x = mul_mod(x, x, n);
      composite = x != n - 1;
    }
    if (composite) return false;
  }
  return true;
}

std::vector<std::uint64_t> largest_primes(std::size_t count, int bits, std::uint64_t step) {
  std::vector<std::uint64_t> primes;
  const std::uint64_t top = std::uint64_t{1} << bits;
  for (std::uint64_t q = (top - 1) / step * step + 1; primes.size() < count; q -= step) {
    if (q >= top) continue;
    if (q < top / 2) throw Error(ErrorCode::usage, "there are too few primes of this size for the ring");
    if (is_prime(q)) primes.push_back(q);
  }
  return primes;
}

std::uint64_t root_of_unity(std::uint64_t order, std::uint64_t q) {
  check((q - 1) % order == 0, "the modulus has no root of unity of this order");
  for (std::uint64_t g = 2;; ++g)
    if (simd::pow_mod(g, (q - 1) / 2, q) == q - 1) return simd::pow_mod(g, (q - 1) / order, q);
}

std::uint64_t residue_of(double integer, std::uint64_t q) {
  if (std::abs(integer) < 0x1p62) {
    const std::int64_t m = static_cast<std::int64_t>(integer) % static_cast<std::int64_t>(q);
    return static_cast<std::uint64_t>(m < 0 ? m + static_cast<std::int64_t>(q) : m);
  }
  // A double is an integer of 53 bits times a power of two.
  int exponent = 0;
  const double magnitude = std::ldexp(std::frexp(std::abs(integer), &exponent), 53);
  const std::uint64_t power = simd::pow_mod(2, static_cast<std::uint64_t>(exponent - 53), q);
  const std::uint64_t m = mul_mod(static_cast<std::uint64_t>(magnitude) % q, power, q);
  return integer < 0 && m != 0 ? q - m : m;
}

}  // namespace sotto::ring
