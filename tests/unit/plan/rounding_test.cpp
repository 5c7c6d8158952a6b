// Rounding with second moments: errors cancel over inputs that look alike.
#include "plan/rounding.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support/values.h"

namespace sotto::plan {
namespace {

constexpr int kChannels = 12;

// All channels move alike, but for a tenth of their size.
Tensor alike() {
  Tensor t;
  t.layout.channels = kChannels;
  t.moments.channels.assign(kChannels * kChannels, 1);
  for (int c = 0; c < kChannels; ++c) t.moments.channels[static_cast<std::size_t>(c * kChannels + c)] = 1.01;
  t.moments.neighbours = {1};
  return t;
}

// Errors of rounded numbers, one for each channel.
std::vector<double> errors(const Rounding& rounding, const std::vector<double>& exact) {
  std::vector<double> rounded = exact;
  std::vector<std::span<double>> vectors;
  std::vector<int> channels;
  for (std::size_t c = 0; c < rounded.size(); ++c) {
    channels.push_back(static_cast<int>(c));
    vectors.push_back(rounded[c] == 0 ? std::span<double>() : std::span<double>(&rounded[c], 1));
  }
  const int tap = 0;
  rounding.round(rounding.taps(Term(), {&tap, 1}), channels, vectors);
  for (std::size_t c = 0; c < rounded.size(); ++c) {
    EXPECT_EQ(rounded[c], std::nearbyint(rounded[c]));
    rounded[c] -= exact[c];
  }
  return rounded;
}

TEST(Rounding, ErrorsCancelOverInputsThatLookAlike) {
  double together = 0, nearest = 0;
  const Rounding rounding(alike());
  for (unsigned seed = 0; seed < 200; ++seed) {
    const auto exact = test::random_values(kChannels, seed, 50);
    double sum = 0, sum_of_nearest = 0;
    for (double e : errors(rounding, exact)) {
      EXPECT_LT(std::abs(e), 2);
      sum += e;
    }
    for (double v : exact) sum_of_nearest += std::nearbyint(v) - v;
    together += sum * sum;
    nearest += sum_of_nearest * sum_of_nearest;
  }
  EXPECT_LT(together, nearest / 5);
}

// 2,048 channels without moments: a matrix of them would be factorised in seconds and rounded in minutes.
TEST(Rounding, ChannelsWithoutMomentsCountAsAlike) {
  Tensor unknown = alike(), stated = alike();
  unknown.moments = {};
  for (int i = 0; i < kChannels; ++i)
    for (int j = 0; j < kChannels; ++j)
      stated.moments.channels[static_cast<std::size_t>(i * kChannels + j)] = i == j ? 1 : 2.0 / 3;
  const auto exact = test::random_values(kChannels, 6, 50);
  EXPECT_EQ(errors(Rounding(unknown), exact), errors(Rounding(stated), exact));
  for (std::size_t c = 0; c < kChannels; ++c) EXPECT_NEAR(Rounding(unknown).share(c), Rounding(stated).share(c), 1e-12);
  unknown.layout.channels = 2048;
  const Rounding wide(unknown);
  EXPECT_TRUE(wide.channels().lower.empty());
  EXPECT_NEAR(wide.share(2047), 1.0 / 3, 0.01);
}

TEST(Rounding, InputsThatHaveNothingInCommonAreRoundedToTheNearest) {
  Tensor t = alike();
  for (int i = 0; i < kChannels; ++i)
    for (int j = 0; j < kChannels; ++j) t.moments.channels[static_cast<std::size_t>(i * kChannels + j)] = i == j;
  for (double e : errors(Rounding(t), test::random_values(kChannels, 3, 50))) EXPECT_LE(std::abs(e), 0.5);
}

TEST(Rounding, WeightsOfZeroStayZero) {
  auto exact = test::random_values(kChannels, 4, 50);
  exact[2] = exact[7] = 0;
  const auto e = errors(Rounding(alike()), exact);
  EXPECT_EQ(e[2], 0);
  EXPECT_EQ(e[7], 0);
}

TEST(Rounding, MatricesThatAreNoMomentsCountAsTheirDiagonal) {
  Tensor t = alike();
  for (double& v : t.moments.channels) v = v == 1 ? -1 : 1.01;  // more than two cannot all be opposites
  for (double e : errors(Rounding(t), test::random_values(kChannels, 5, 50))) EXPECT_LE(std::abs(e), 0.5);
}

}  // namespace
}  // namespace sotto::plan
