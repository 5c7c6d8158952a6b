// The scalar transforms against their definition, and the automorphism tables against exponent arithmetic.
#include <gtest/gtest.h>

#include <random>

#include "base/error.h"
#include "simd/tables.h"

namespace sotto::simd {
namespace {

using u64 = std::uint64_t;
__extension__ using u128 = unsigned __int128;

constexpr u64 kPrime = 281474975662081ull;  // 1 modulo 2^18

u64 root_of_order(u64 order, u64 q) {
  for (u64 g = 2;; ++g)
    if (pow_mod(g, (q - 1) / 2, q) == q - 1) return pow_mod(g, (q - 1) / order, q);
}

struct Case {
  std::size_t n;
  bool ci;
};

class Transform : public ::testing::TestWithParam<Case> {};

// Value of the polynomial at x: sum a_i x^i, or a_0 + sum a_i (x^i + x^-i).
u64 evaluate(const AlignedArray<u64>& a, u64 x, bool ci, u64 q) {
  const u64 xi = pow_mod(x, q - 2, q);
  u64 sum = 0, p = 1, pi = 1;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const u64 basis = !ci || i == 0 ? p : (p + pi) % q;
    sum = static_cast<u64>((sum + static_cast<u128>(a[i]) * basis) % q);
    p = static_cast<u64>(static_cast<u128>(p) * x % q);
    pi = static_cast<u64>(static_cast<u128>(pi) * xi % q);
  }
  return sum;
}

TEST_P(Transform, MatchesTheDefinitionAndInverts) {
  const auto [n, ci] = GetParam();
  const u64 root = root_of_order(ci ? 4 * n : 2 * n, kPrime);
  const NttTables t(n, kPrime, root, ci, TwiddleLayout::shoup);
  std::mt19937_64 rng(n + ci);
  AlignedArray<u64> a(n), x(n);
  for (std::size_t i = 0; i < n; ++i) x[i] = a[i] = rng() % kPrime;
  scalar_kernels().ntt(x.data(), t.view());
  for (std::size_t k = 0; k < n; k += n / 64 + 1)
    ASSERT_EQ(x[k], evaluate(a, pow_mod(root, exponent_of(k, n, ci), kPrime), ci, kPrime)) << "output " << k;
  scalar_kernels().intt(x.data(), x.data(), t.view(), 1);
  for (std::size_t i = 0; i < n; ++i) ASSERT_EQ(x[i], a[i]) << "coefficient " << i;
}

TEST_P(Transform, EveryKernelSetMatchesScalar) {
  const auto [n, ci] = GetParam();
  const u64 root = root_of_order(ci ? 4 * n : 2 * n, kPrime);
  const NttTables ts(n, kPrime, root, ci, TwiddleLayout::shoup);
  for (const Kernels* k : {avx2_kernels(), avx512_kernels(), amx_kernels()}) {
    if (k == nullptr) continue;
    const NttTables t(n, kPrime, root, ci, k->layout);
    std::mt19937_64 rng(n);
    for (int round = 0; round < 3; ++round) {
      AlignedArray<u64> a(n), b(n);
      for (std::size_t i = 0; i < n; ++i) a[i] = b[i] = round == 0 ? kPrime - 1 : rng() % kPrime;
      k->ntt(a.data(), t.view());
      scalar_kernels().ntt(b.data(), ts.view());
      for (std::size_t i = 0; i < n; ++i) ASSERT_EQ(a[i], b[i]) << k->name << " forward, output " << i;
      const u64 factor = rng() % kPrime;
      k->intt(a.data(), a.data(), t.view(), factor);
      scalar_kernels().intt(b.data(), b.data(), ts.view(), factor);
      for (std::size_t i = 0; i < n; ++i) ASSERT_EQ(a[i], b[i]) << k->name << " inverse, coefficient " << i;
    }
  }
}

TEST_P(Transform, AutomorphismPermutesValues) {
  const auto [n, ci] = GetParam();
  const u64 order = ci ? 4 * n : 2 * n, root = root_of_order(order, kPrime);
  const NttTables t(n, kPrime, root, ci, TwiddleLayout::shoup);
  std::mt19937_64 rng(n);
  AlignedArray<u64> a(n), x(n), y(n);
  for (std::size_t i = 0; i < n; ++i) x[i] = a[i] = rng() % kPrime;
  scalar_kernels().ntt(x.data(), t.view());
  for (u64 g : {u64{5}, u64{25}, order - 3, ci ? u64{1} : order - 1}) {
    const auto table = make_automorphism_table(g, n, ci);
    scalar_kernels().automorphism(y.data(), x.data(), table.data(), n);
    for (std::size_t k = 0; k < n; k += n / 64 + 1) {
      const u64 point = pow_mod(root, exponent_of(k, n, ci) * g % order, kPrime);
      ASSERT_EQ(y[k], evaluate(a, point, ci, kPrime)) << "g " << g << " output " << k;
    }
  }
}

TEST(Modulus, HasFortyEightBitsAtMost) {
  const ModulusView m = make_modulus_view((u64{1} << kMaxModulusBits) - 1);
  EXPECT_EQ(m.q, (u64{1} << 48) - 1);
  EXPECT_THROW((void)make_modulus_view(u64{1} << kMaxModulusBits), Error);
}

INSTANTIATE_TEST_SUITE_P(Sizes, Transform,
                         ::testing::Values(Case{64, false}, Case{64, true}, Case{128, true}, Case{256, false},
                                           Case{512, true}, Case{1024, false}, Case{4096, true}, Case{8192, true},
                                           Case{65536, true}, Case{65536, false}, Case{131072, false},
                                           Case{32768, true}));

}  // namespace
}  // namespace sotto::simd
