// What secrets and errors are made of. Bounds are many standard deviations wide: a right sampler does not fail.
#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

#include "ckks/security.h"
#include "encrypt/small.h"
#include "secret/secret_key.h"
#include "support/expect_error.h"

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

// In few places most draws meet one that is taken.
TEST(Sampling, SparseSecretsHaveTheirWeightInFewPlaces) {
  constexpr int kDraws = 400;
  constexpr std::size_t kPlaces = 64;
  int filled[kPlaces] = {}, positive = 0;
  for (int draw = 0; draw < kDraws; ++draw) {
    SecretArray<std::int8_t> s(kPlaces);
    sample_sparse(s);
    int weight = 0;
    for (std::size_t i = 0; i < kPlaces; ++i) {
      ASSERT_LE(std::abs(s[i]), 1);
      weight += s[i] != 0;
      filled[i] += s[i] != 0;
      positive += s[i] > 0;
    }
    ASSERT_EQ(weight, ckks::kEphemeralWeight);
  }
  for (const int f : filled) EXPECT_NEAR(f, kDraws / 2.0, 8 * std::sqrt(kDraws) / 2);
  constexpr double kCount = kDraws * ckks::kEphemeralWeight;
  EXPECT_NEAR(positive, kCount / 2, 8 * std::sqrt(kCount) / 2);
  SecretArray<std::int8_t> all(ckks::kEphemeralWeight), fewer(ckks::kEphemeralWeight / 2), odd(100);
  sample_sparse(all);
  for (std::size_t i = 0; i < all.size(); ++i) EXPECT_NE(all[i], 0);
  EXPECT_TRUE(test::fails_with([&] { sample_sparse(fewer); }, ErrorCode::internal));
  EXPECT_TRUE(test::fails_with([&] { sample_sparse(odd); }, ErrorCode::internal)) << "places are drawn by bits";
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

// No place is left out, wherever the samplers go from one chunk of randomness to the next.
TEST(Sampling, EveryPlaceTakesEveryValue) {
  constexpr std::size_t kPlaces = 9001;
  constexpr int kDraws = 100;
  std::vector<std::set<int>> ternary(kPlaces), signs(kPlaces);
  for (int draw = 0; draw < kDraws; ++draw) {
    SecretArray<std::int8_t> s(kPlaces), e(kPlaces);
    encrypt::sample_ternary(s);
    encrypt::sample_error(e);
    for (std::size_t i = 0; i < kPlaces; ++i) {
      ternary[i].insert(s[i]);
      signs[i].insert((e[i] > 0) - (e[i] < 0));
    }
  }
  const std::set<int> all = {-1, 0, 1};
  for (std::size_t i = 0; i < kPlaces; ++i) {
    ASSERT_EQ(ternary[i], all) << i;
    ASSERT_TRUE(signs[i].contains(-1) && signs[i].contains(1)) << i;
  }
}

}  // namespace
}  // namespace sotto::secret
