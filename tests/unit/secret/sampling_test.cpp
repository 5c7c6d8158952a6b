// What secrets and errors are made of. Bounds are many standard deviations wide: a right sampler does not fail.
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "ckks/security.h"
#include "encrypt/small.h"
#include "secret/secret_key.h"

namespace sotto::secret {
namespace {

constexpr std::size_t kSize = std::size_t{1} << 16;

TEST(Sampling, SparseSecretsHaveTheirWeightAtUniformPlaces) {
  constexpr int kDraws = 400;
  std::set<std::size_t> places;
  int positive = 0, lower_half = 0;
  for (int draw = 0; draw < kDraws; ++draw) {
    SecretArray<std::int8_t> s(kSize);
    std::fill_n(s.data(), kSize, std::int8_t{7});  // what was there does not matter
    sample_sparse(s);
    int weight = 0;
    for (std::size_t i = 0; i < kSize; ++i) {
      if (s[i] == 0) continue;
      ASSERT_EQ(std::abs(s[i]), 1);
      ++weight;
      positive += s[i] > 0;
      lower_half += i < kSize / 2;
      places.insert(i);
    }
    ASSERT_EQ(weight, ckks::kEphemeralWeight);
  }
  constexpr double kCount = kDraws * ckks::kEphemeralWeight;
  EXPECT_NEAR(positive, kCount / 2, 8 * std::sqrt(kCount) / 2);
  EXPECT_NEAR(lower_half, kCount / 2, 8 * std::sqrt(kCount) / 2);
  const double distinct = kSize * (1 - std::exp(-kCount / kSize));
  EXPECT_NEAR(static_cast<double>(places.size()), distinct, 8 * std::sqrt(kCount));
}

TEST(Sampling, TernarySecretsAreUniform) {
  SecretArray<std::int8_t> s(kSize);
  encrypt::sample_ternary(s);
  std::size_t count[3] = {};
  for (std::size_t i = 0; i < kSize; ++i) {
    ASSERT_LE(std::abs(s[i]), 1);
    ++count[s[i] + 1];
  }
  for (const std::size_t c : count) EXPECT_NEAR(static_cast<double>(c), kSize / 3.0, 8 * std::sqrt(kSize * 2.0 / 9));
}

TEST(Sampling, ErrorsAreARoundedGaussian) {
  SecretArray<std::int8_t> e(kSize);
  encrypt::sample_error(e);
  double sum = 0, squares = 0;
  for (std::size_t i = 0; i < kSize; ++i) {
    sum += e[i];
    squares += e[i] * e[i];
  }
  constexpr double kVariance = 3.19 * 3.19 + 1.0 / 12;
  EXPECT_NEAR(sum / kSize, 0, 8 * std::sqrt(kVariance / kSize));
  EXPECT_NEAR(squares / kSize, kVariance, 8 * kVariance * std::sqrt(2.0 / kSize));
}

}  // namespace
}  // namespace sotto::secret
