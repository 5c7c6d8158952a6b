// Arithmetic modulo one prime against its definition, without the algorithms that the engine uses.
#include "ring/primes.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "support/expect_error.h"

namespace sotto::ring {
namespace {

using u64 = std::uint64_t;

// By trial of every divisor.
bool has_no_divisor(u64 n) {
  if (n < 2) return false;
  for (u64 d = 2; d * d <= n; ++d)
    if (n % d == 0) return false;
  return true;
}

TEST(Primes, AreThoseWithoutDivisors) {
  for (u64 n = 0; n < 20000; ++n) ASSERT_EQ(is_prime(n), has_no_divisor(n)) << n;
  for (u64 n = (u64{1} << 32) - 200; n < (u64{1} << 32) + 200; ++n) ASSERT_EQ(is_prime(n), has_no_divisor(n)) << n;
}

// Products of two and three primes, of which many bases say that they are prime.
TEST(Primes, StrongPseudoprimesAreNone) {
  for (u64 n : {2047ull, 1373653ull, 25326001ull, 3215031751ull, 2152302898747ull, 3474749660383ull, 341550071728321ull,
                3825123056546413051ull, 18446743979220271189ull})
    EXPECT_FALSE(is_prime(n)) << n;
  for (u64 n : {281474976710597ull, 9223372036854775783ull, 18446744073709551557ull}) EXPECT_TRUE(is_prime(n)) << n;
}

TEST(Primes, TheLargestBelowAPowerOfTwo) {
  constexpr int kBits = 20;
  constexpr u64 kStep = 256;
  std::vector<u64> expected;
  for (u64 q = u64{1} << kBits; q-- > u64{1} << (kBits - 1);)
    if (q % kStep == 1 && has_no_divisor(q)) expected.push_back(q);
  EXPECT_EQ(largest_primes(expected.size(), kBits, kStep), expected);
  EXPECT_EQ(largest_primes(3, kBits, kStep), std::vector(expected.begin(), expected.begin() + 3));
  EXPECT_TRUE(
      test::fails_with([&] { (void)largest_primes(expected.size() + 1, kBits, kStep); }, ErrorCode::usage, {"few"}));
}

TEST(Primes, RootsHaveTheirOrder) {
  for (const u64 q : {u64{1179649}, u64{281474975662081}})
    for (u64 order = 2; order <= u64{1} << 17; order *= 2) {
      u64 power = 1;
      const u64 root = root_of_unity(order, q);
      for (u64 k = 1; k < order; ++k) {
        power = mul_mod(power, root, q);
        if (power == 1) FAIL() << "order " << k << " instead of " << order;
      }
      EXPECT_EQ(mul_mod(power, root, q), 1u);
    }
  EXPECT_TRUE(test::fails_with([] { (void)root_of_unity(u64{1} << 30, 1179649); }, ErrorCode::internal));
}

TEST(Primes, InversesInvert) {
  constexpr u64 kPrime = 281474975662081;
  std::mt19937_64 rng(1);
  for (int k = 0; k < 100; ++k) {
    const u64 a = 1 + rng() % (kPrime - 1), b = inverse_mod(a, kPrime);
    __extension__ using u128 = unsigned __int128;
    ASSERT_EQ(static_cast<u64>(static_cast<u128>(a) * b % kPrime), 1u);
  }
}

// Digit by digit, of any size: doubling is all that this needs.
u64 naive_residue(double integer, u64 q) {
  int exponent = 0;
  auto bits = static_cast<u64>(std::ldexp(std::frexp(std::abs(integer), &exponent), 53));
  for (exponent -= 53; exponent < 0; ++exponent) bits /= 2;  // an integer below 2^53
  u64 r = bits % q;
  for (; exponent > 0; --exponent) r = r * 2 % q;
  return integer < 0 && r != 0 ? q - r : r;
}

TEST(Primes, ResiduesOfIntegersOfAnySize) {
  std::mt19937_64 rng(2);
  for (const u64 q : {u64{1179649}, u64{281474975662081}}) {
    for (int exponent = 0; exponent < 1000; exponent += exponent < 70 ? 1 : 37)
      for (int k = 0; k < 20; ++k) {
        const double x = std::floor(std::ldexp(static_cast<double>(rng() >> 11), exponent - 53));
        ASSERT_EQ(residue_of(x, q), naive_residue(x, q)) << x << " mod " << q;
        ASSERT_EQ(residue_of(-x, q), naive_residue(-x, q)) << -x << " mod " << q;
      }
    for (double x : {0.0, -0.0, 1.0, -1.0, static_cast<double>(q), -static_cast<double>(q), 0x1p62, -0x1p62, 0x1p63,
                     std::ldexp(static_cast<double>(q), 40), -std::ldexp(static_cast<double>(q), 40)})
      ASSERT_EQ(residue_of(x, q), naive_residue(x, q)) << x << " mod " << q;
  }
}

}  // namespace
}  // namespace sotto::ring
