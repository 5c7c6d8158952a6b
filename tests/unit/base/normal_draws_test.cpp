#include "base/normal_draws.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace sotto {
namespace {

TEST(NormalDraws, HaveTheMomentsOfANormalDistribution) {
  NormalDraws draw(7);
  constexpr int kDraws = 1 << 20;
  double sum = 0, squares = 0, fourths = 0, largest = 0;
  int beyond_two = 0;
  for (int k = 0; k < kDraws; ++k) {
    const double x = draw();
    sum += x;
    squares += x * x;
    fourths += x * x * x * x;
    largest = std::max(largest, std::abs(x));
    beyond_two += std::abs(x) > 2;
  }
  EXPECT_NEAR(sum / kDraws, 0, 0.005);
  EXPECT_NEAR(squares / kDraws, 1, 0.01);
  EXPECT_NEAR(fourths / kDraws, 3, 0.2);  // 2.85: a sum of eight numbers
  EXPECT_NEAR(static_cast<double>(beyond_two) / kDraws, 0.0455, 0.003);
  EXPECT_GT(largest, 4);
  EXPECT_LT(largest, 4.9);
}

TEST(NormalDraws, HaveNothingToDoWithTheirNeighbours) {
  NormalDraws draw(1), other(2);
  constexpr int kDraws = 1 << 16;
  double next = 0, between = 0, last = draw();
  for (int k = 0; k < kDraws; ++k) {
    const double x = draw();
    next += x * last;
    between += x * other();
    last = x;
  }
  EXPECT_NEAR(next / kDraws, 0, 0.02);
  EXPECT_NEAR(between / kDraws, 0, 0.02);
}

TEST(NormalDraws, SeedsCountEachAndInTheirOrder) {
  const auto first = [](NormalDraws d) { return d(); };
  EXPECT_EQ(first({1, 2, 3}), first({1, 2, 3}));
  EXPECT_NE(first({1, 2, 3}), first({1, 3, 2}));
  EXPECT_NE(first({1, 2, 3}), first({1, 2, 4}));
  EXPECT_NE(first({1, 2}), first({1, 2, 0}));
  EXPECT_NE(first({0}), first({0, 0}));
}

}  // namespace
}  // namespace sotto
