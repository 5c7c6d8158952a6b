// How much published results tell, and how much noise hides the rest.
#include "client/disclosure.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support/expect_error.h"

namespace sotto::client {
namespace {

double normal_below(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }

// Sum of p^a q^(1 - a), as the definition has it, over 1 / (a - 1) log.
double renyi(double p, double q, double a) {
  return std::log(std::pow(p, a) * std::pow(q, 1 - a) + std::pow(1 - p, a) * std::pow(1 - q, 1 - a)) / (a - 1);
}

Divergence times(Divergence d, double factor) {
  for (double& x : d) x *= factor;
  return d;
}

TEST(Disclosure, OfASignAsTheDefinitionHasIt) {
  for (const double x : {-2.0, -0.3, 0.0, 1.5})
    for (const double d : {-0.4, 0.05, 1.0})
      for (const double a : {1.5, 2.0, 8.0, 32.0}) {
        const double expected = renyi(normal_below(x + d), normal_below(x), a);
        EXPECT_NEAR(divergence_of_sign(x, d, a), expected, 1e-9 * (1 + expected)) << x << " " << d << " " << a;
      }
}

// What least_noise relies on: a sign tells no more than the number it is of, and far from the margin less and less.
TEST(Disclosure, OfASignStaysBelowItsBounds) {
  for (const double d : {0.01, 0.06, 0.2, 0.7})
    for (const double a : kOrders) {
      const double cap = a * d * d / 2, edge = -kMarginDeviations + d;
      for (double x = -12; x < 12; x += 0.05)
        for (const double shift : {d, -d}) {
          const double value = divergence_of_sign(x, shift, a);
          ASSERT_LE(value, cap * (1 + 1e-9) + 1e-12) << x << " " << d << " " << a;
          if (x > edge || (a + 1) * d >= kMarginDeviations) continue;
          ASSERT_LE(value, std::max(divergence_of_sign(edge, d, a), divergence_of_sign(edge, -d, a)) + 1e-12)
              << x << " " << d << " " << a;
        }
    }
}

TEST(Disclosure, NothingPublishedLeavesTheKeyAsItIs) {
  EXPECT_DOUBLE_EQ(key_bits({}, 128), 128.0 * 63 / 64);
  EXPECT_EQ(statistical_bits({}), HUGE_VAL);
  // The best of all orders: at order a a nat of Gaussian noise costs a log2(e) bits, and 1 / a of all.
  Divergence d;
  for (std::size_t k = 0; k < d.size(); ++k) d[k] = kOrders[k];
  EXPECT_NEAR(key_bits(d, 128), 7.0 / 8 * (128 - 8 * std::log2(std::exp(1.0))), 1e-9);
  EXPECT_EQ(key_bits(times(d, 1e4), 128), 0);
}

TEST(Disclosure, StatisticalBitsAreThoseOfThePaper) {
  // sqrt(12 tau) 2^(s / 2) |e|, with errors of the allowance; two digits are rounded up.
  for (const int releases : {1, 5}) {
    const Target target{.statistical_bits = 30, .releases = releases};
    const double expected = std::sqrt(12.0 * releases) * 0x1p15 * kErrorAllowance * 1e-3 * std::sqrt(16 * 10.0);
    const Noise noise = noise_of_scores(1e-3, 16, 10, target);
    EXPECT_GE(noise.deviation, expected * (1 - 1e-3));
    EXPECT_LE(noise.deviation, expected * 1.11);
    EXPECT_GE(statistical_bits(times(noise.divergence, releases)), 30);
  }
}

// The same without any rounding: scores that are e apart under noise of deviation s have the divergence a e^2 / 2 s^2.
TEST(Disclosure, StatisticalBitsOfGaussianNoise) {
  for (const double bits : {0.0, 10.0, 40.0})
    for (const int releases : {1, 7}) {
      const double e = 0.03, deviation = std::sqrt(12.0 * releases) * std::exp2(bits / 2) * e;
      Divergence d;
      for (std::size_t k = 0; k < d.size(); ++k) d[k] = releases * kOrders[k] * e * e / (2 * deviation * deviation);
      EXPECT_NEAR(statistical_bits(d), bits, 1e-9);
      EXPECT_TRUE((Target{.statistical_bits = bits - 1e-9}.met_by(d)));
      EXPECT_FALSE((Target{.statistical_bits = bits + 1e-9}.met_by(d)));
    }
}

TEST(Disclosure, AsLittleNoiseAsTheTargetAllows) {
  const double error = 0.02;
  for (const double bits : {80.0, 100.0, 120.0})
    for (const int releases : {1, 10})
      for (const std::size_t classes : {2u, 10u, 100u}) {
        const Target target{.key_bits = bits, .releases = releases};
        for (const auto& make : {noise_of_scores, noise_of_labels}) {
          const Noise noise = make(error, 64, classes, target), less = make(0.8 * error, 64, classes, target);
          EXPECT_GE(key_bits(times(noise.divergence, releases), 128), bits);
          EXPECT_LT(less.deviation, noise.deviation) << "smaller errors need less noise";
          EXPECT_EQ(noise.deviation, std::stod(noise.text));
          // 15 % less noise is 38 % more divergence, more than two digits round off.
          EXPECT_LT(key_bits(times(noise.divergence, 1.4 * releases), 128), bits);
        }
      }
}

// Scores have no unit: errors that are a thousand times as large need a thousand times the noise.
TEST(Disclosure, NoiseGrowsWithTheErrors) {
  for (const auto& make : {noise_of_scores, noise_of_labels})
    for (const double factor : {1e-9, 1e-3, 1e3, 1e9}) {
      const Noise one = make(0.02, 64, 10, {}), other = make(0.02 * factor, 64, 10, {});
      EXPECT_NEAR(other.deviation / one.deviation / factor, 1, 1e-3) << factor;
    }
}

TEST(Disclosure, LabelsWithFarMoreNoiseThanErrors) {
  // Where the divergence of a sign is below the rounding of doubles.
  const Target target{.statistical_bits = 60};
  const Noise noise = noise_of_labels(0.02, 1024, 100, target);
  EXPECT_GE(statistical_bits(noise.divergence), 60);
  EXPECT_GT(noise.deviation, std::sqrt(12.0 * 1024) * 0x1p30 * kErrorAllowance * std::sqrt(2.0) * 0.02);
}

TEST(Disclosure, LabelsNeedLessNoiseThanScores) {
  for (const std::size_t classes : {10u, 100u}) {
    const Noise labels = noise_of_labels(0.02, 1024, classes, {}), scores = noise_of_scores(0.02, 1024, classes, {});
    EXPECT_LT(labels.margin, 0.35 * scores.margin) << classes;
    EXPECT_EQ(labels.step, 0);
    EXPECT_GT(scores.step, scores.deviation / 4.001);
    EXPECT_LE(scores.step, scores.deviation / 2);
  }
}

TEST(Disclosure, TargetsThatNoNoiseMeets) {
  EXPECT_TRUE(test::fails_with([] { (void)noise_of_scores(0.02, 1, 10, {.key_bits = 127}); }, ErrorCode::usage,
                               {"127", "128"}));
  EXPECT_TRUE(test::fails_with([] { (void)noise_of_labels(0.02, 1, 10, {.key_bits = 100, .security_bits = 90}); },
                               ErrorCode::usage));
  EXPECT_TRUE(test::fails_with([] { (void)noise_of_labels(0.02, 1, 1, {}); }, ErrorCode::internal)) << "no other score";
  for (const auto& make : {noise_of_scores, noise_of_labels}) {
    EXPECT_TRUE(test::fails_with([&] { (void)make(0, 1, 10, {}); }, ErrorCode::internal));
    EXPECT_TRUE(test::fails_with([&] { (void)make(0.02, 1, 10, {.releases = 0}); }, ErrorCode::internal));
  }
}

}  // namespace
}  // namespace sotto::client
