#include "runtime/integers.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "simd/tables.h"

namespace sotto::runtime {
namespace {

using u64 = std::uint64_t;

// |value| modulo q by doubling, digit by digit.
u64 naive_residue(double value, u64 q) {
  int exponent = 0;
  const double mantissa = std::frexp(std::abs(value), &exponent);
  u64 r = static_cast<u64>(std::ldexp(mantissa, std::min(exponent, 53))) % q;
  for (; exponent > 53; --exponent) r = 2 * r % q;
  return value < 0 && r != 0 ? q - r : r;
}

TEST(Integers, ResiduesOfEverySizeAndSign) {
  const simd::ModulusView m = simd::make_modulus_view(281474975662081ull);
  for (const double largest : {100.0, 0x1p31 - 2, 0x1p31, 0x1p47, 0x1p52, 0x1p53, 0x1p61, 0x1p62, 0x1p63, 0x1p80}) {
    for (const std::size_t count : {std::size_t{1}, std::size_t{10}, std::size_t{64}, std::size_t{2064}}) {
      std::mt19937_64 rng(count);
      std::uniform_real_distribution<double> uniform(-largest, largest);
      std::vector<double> values(count);
      for (double& v : values) v = std::nearbyint(uniform(rng));
      values[0] = -largest;
      const Integers integers(values);
      simd::AlignedArray<u64> out(count);
      integers.residues(simd::select_kernels(), m, out.data());
      for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(out[i], naive_residue(values[i], m.q)) << values[i];
    }
  }
}

}  // namespace
}  // namespace sotto::runtime
