// Approximations of ReLU against what is proved and published about them, and at random points.
#include "compiler/relu_approximation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <numbers>
#include <random>

#include "support/expect_error.h"

namespace sotto::compiler {
namespace {

using Kind = ReluApproximation::Kind;

constexpr double kRoom = 1 - 0x1p-12;

// Of a Chebyshev series, as a sum of cosines.
double series_value(const std::vector<double>& c, double x) {
  double sum = 0;
  for (std::size_t k = 0; k < c.size(); ++k) sum += c[k] * std::cos(static_cast<double>(k) * std::acos(x));
  return sum;
}

// Half of the points spread over [-1, 1], the other half over all scales down to 2^-26.
std::vector<double> random_points(int count) {
  std::mt19937_64 random(7);
  std::uniform_real_distribution<double> uniform(-1, 1), scale(-26, 0);
  std::vector<double> out{-1, 0, 1};
  for (int i = 0; i < count; ++i) {
    out.push_back(uniform(random));
    out.push_back(std::copysign(std::exp2(scale(random)), uniform(random)));
  }
  return out;
}

double largest_error(const ReluApproximation& p, const std::vector<double>& points) {
  double error = 0;
  for (double x : points) error = std::max(error, std::abs(evaluate(p, x) - std::max(x, 0.0)));
  return error;
}

std::vector<int> degrees(const ReluApproximation& p) {
  std::vector<int> out;
  for (const auto& factor : p.factors) out.push_back(static_cast<int>(factor.size()) - 1);
  return out;
}

// Levels and products of an odd polynomial as Lee, Lee, No and Kim count them (ePrint 2020/834).
const std::map<int, std::pair<int, int>> kOddPolynomials = {
    {3, {2, 2}},  {5, {3, 3}},  {7, {3, 5}},  {9, {4, 5}},   {11, {4, 6}},  {13, {4, 7}},  {15, {4, 8}}, {17, {5, 8}},
    {19, {5, 8}}, {21, {5, 9}}, {23, {5, 9}}, {25, {5, 10}}, {27, {5, 10}}, {29, {5, 11}}, {31, {5, 12}}};

TEST(ApproximateRelu, KeepsItsErrorAtRandomPoints) {
  const std::vector<double> points = random_points(50000);
  for (double log_error : {-2.0, -4.5, -6.0, -7.3, -9.8, -9.9, -11.0, -13.0, -16.0, -20.0}) {
    const ReluApproximation p = approximate_relu(std::exp2(log_error));
    EXPECT_LE(p.error, std::exp2(log_error));
    const double measured = largest_error(p, points);
    EXPECT_LE(measured, p.error * (1 + 1e-5)) << log_error;
    EXPECT_GE(measured, p.error * 0.98) << log_error << ": the error is no loose bound";
  }
}

TEST(ApproximateRelu, ErrsAlikeOnBothSides) {
  for (double error : {0x1p-6, 0x1p-11, 0x1p-13}) {
    const ReluApproximation p = approximate_relu(error);
    for (double x : random_points(1000)) EXPECT_NEAR(evaluate(p, x) - evaluate(p, -x), x, 1e-13);
    for (const auto& factor : p.factors)
      for (std::size_t k = 0; k < factor.size(); ++k) {
        const bool even = k % 2 == 0, single = p.kind == Kind::single;
        if (even != single) {
          EXPECT_EQ(factor[k], single && k == 1 ? 0.5 : 0) << k;
        }
      }
  }
}

TEST(ApproximateRelu, FactorsStayWithinTheRangeOfTheNext) {
  for (double error : {0x1p-10, 0x1p-13, 0x1p-17, 0x1p-20}) {
    const ReluApproximation p = approximate_relu(error);
    ASSERT_EQ(p.kind, Kind::composite);
    for (std::size_t f = 0; f < p.factors.size(); ++f) {
      const bool last = f + 1 == p.factors.size();
      double largest = 0;  // even if noise has lifted the input up to 1
      for (int i = -20000; i <= 20000; ++i) largest = std::max(largest, series_value(p.factors[f], i / 20000.0));
      EXPECT_LE(largest, (last ? 1 + 2 * p.error : kRoom) + 1e-12) << f;
      EXPECT_GE(largest, (last ? 1 + 2 * p.error : kRoom) - 1e-5) << f;
    }
  }
}

TEST(ApproximateRelu, NothingShallowerOrCheaperReachesTheError) {
  constexpr double kError = 0x1p-10;
  const ReluApproximation p = approximate_relu(kError);
  ASSERT_EQ(p.kind, Kind::composite);
  EXPECT_GT(single_relu(126).error, kError);
  int tried = 0;
  // All composites within one level less, and within as many levels and one product less. A factor more never hurts,
  // nor does a higher degree, so only those are tried that nothing more can be added to.
  const std::function<void(std::vector<int>, int, int)> visit = [&](const std::vector<int>& chosen, int depth,
                                                                    int products) {
    bool full = true;
    for (const auto& [degree, cost] : kOddPolynomials) {
      if (cost.first > depth || cost.second > products) continue;
      full = false;
      const auto better = kOddPolynomials.find(degree + 2);
      if (better != kOddPolynomials.end() && better->second == cost) continue;
      std::vector<int> longer = chosen;
      longer.push_back(degree);
      visit(longer, depth - cost.first, products - cost.second);
    }
    double total = 0.999;  // a polynomial of degree n errs by 1 / (8 n) at least
    for (int degree : chosen) total += std::log2(degree);
    if (!full || total < 7) return;
    EXPECT_GT(composite_relu(chosen).error, kError) << ::testing::PrintToString(chosen);
    ++tried;
  };
  visit({}, p.depth - 2, 1000);
  visit({}, p.depth - 1, p.products - 2);
  EXPECT_GT(tried, 20);
}

TEST(ApproximateRelu, SinglesWhereTheyReachAndCompositesBeyond) {
  // The highest degree of every depth.
  for (const auto& [error, degree] : {std::pair(0.2, 2), std::pair(0.0625, 6), std::pair(0.022, 14),
                                      std::pair(0x1p-6, 30), std::pair(0.0051, 62), std::pair(0.0026, 126)})
    EXPECT_EQ(degrees(approximate_relu(error)), std::vector<int>{degree}) << error;
  EXPECT_EQ(approximate_relu(single_relu(126).error).kind, Kind::single);
  EXPECT_EQ(approximate_relu(single_relu(126).error * 0.999).kind, Kind::composite);
}

TEST(ApproximateRelu, ErrorsThatAreJustReached) {
  for (const ReluApproximation& p :
       {single_relu(14), single_relu(126), composite_relu({7, 7, 13}), minimax_15_15_27()}) {
    const ReluApproximation same = approximate_relu(p.error);
    EXPECT_LE(same.error, p.error);
    EXPECT_EQ(degrees(same), degrees(p));
    EXPECT_NE(degrees(approximate_relu(p.error * 0.9999)), degrees(p));
  }
}

TEST(ApproximateRelu, RefusesOtherErrors) {
  const double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  for (double error : {0.2501, 0x1p-20 * 0.999, 0.0, -0.1, nan, infinity, -infinity})
    EXPECT_TRUE(test::fails_with([&] { return approximate_relu(error); }, ErrorCode::usage, {"2^-20", "0.25"}));
  EXPECT_NO_THROW(approximate_relu(0.25));
  EXPECT_NO_THROW(approximate_relu(0x1p-20));
}

// ePrint 2021/1688 uses these degrees for an error of 2^-13. They give 2^-13.165 here.
TEST(CompositeRelu, PublishedDegreesGiveThePublishedPrecision) {
  const ReluApproximation p = minimax_15_15_27();
  EXPECT_EQ(degrees(p), (std::vector<int>{15, 15, 27}));
  EXPECT_LE(p.error, 0x1p-13);
  EXPECT_NEAR(std::log2(p.error), -13.165, 0.001);
  EXPECT_NEAR(largest_error(p, random_points(100000)), p.error, 1e-2 * p.error);
  EXPECT_EQ(p.depth, 4 + 4 + 5 + 1);
  EXPECT_EQ(p.products, 8 + 8 + 10 + 1);
  const ReluApproximation found = approximate_relu(0x1p-13);
  EXPECT_EQ(degrees(found), degrees(p)) << "the search finds them too";
  EXPECT_NEAR(found.error, p.error, 1e-5 * p.error);
}

TEST(CompositeRelu, LevelsAndProductsAsPublished) {
  for (const auto& [degree, cost] : kOddPolynomials) {
    const ReluApproximation p = composite_relu({degree});
    EXPECT_EQ(p.depth, cost.first + 1) << degree;
    EXPECT_EQ(p.products, cost.second + 1) << degree;
  }
}

// s(x) = u x + v x^3 is 1 - e at a and 1, and 1 + e between, where its derivative is zero.
TEST(CompositeRelu, DegreeThreeInClosedForm) {
  const ReluApproximation p = composite_relu({3});
  const std::vector<double>& c = p.factors.at(0);
  const double u = c[1] - 3 * c[3], v = 4 * c[3], e = 2 * p.error;
  const double a = (std::sqrt(-3 - 4 * u / v) - 1) / 2;  // s(a) = s(1): a^2 + a + 1 + u / v = 0
  const double x = std::sqrt((a * a + a + 1) / 3);
  EXPECT_NEAR(u + v, 1 - e, 1e-6);
  EXPECT_NEAR(u * a + v * a * a * a, 1 - e, 1e-6);
  EXPECT_NEAR(u * x + v * x * x * x, 1 + e, 1e-6);
  // Below a the error is x (1 - s(x)) / 2, and its maximum the same as above.
  double below = 0;
  for (int i = 0; i <= 1000; ++i) {
    const double y = a * i / 1000;
    below = std::max(below, y * (1 - u * y - v * y * y * y) / 2);
  }
  EXPECT_NEAR(below, p.error, 1e-6);
}

// Alternation in as many points as an odd polynomial has coefficients, and one more: minimax by Chebyshev's theorem.
TEST(CompositeRelu, SignPolynomialsAlternate) {
  for (int degree = 3; degree <= 31; degree += 2) {
    const ReluApproximation p = composite_relu({degree});
    constexpr int kPoints = 20000;
    std::vector<double> s;
    for (int i = 0; i <= kPoints; ++i) s.push_back(series_value(p.factors[0], static_cast<double>(i) / kPoints));
    std::vector<double> extrema;
    for (int i = 1; i < kPoints; ++i)
      if ((s[i] > s[i - 1]) != (s[i + 1] > s[i])) extrema.push_back(s[i]);
    extrema.push_back(s.back());
    ASSERT_EQ(static_cast<int>(extrema.size()), (degree + 1) / 2) << degree << ", and the point where s is 1 - e first";
    for (std::size_t i = 0; i < extrema.size(); ++i)
      EXPECT_NEAR(extrema[i], i % 2 == 0 ? 1 + 2 * p.error : 1 - 2 * p.error, 1e-5) << degree;
  }
}

TEST(CompositeRelu, OrderAndNumberOfFactorsAreFree) {
  EXPECT_LT(composite_relu({31, 31, 31, 31, 31, 31}).error, 0x1p-20);
  EXPECT_LT(composite_relu({7, 15, 3}).error, composite_relu({7, 15}).error);
  EXPECT_LT(composite_relu({7, 15}).error, composite_relu({7}).error);
  EXPECT_NE(composite_relu({3, 27}).error, composite_relu({27, 3}).error);
}

TEST(CompositeRelu, RefusesOtherDegrees) {
  for (const std::vector<int>& refused : {std::vector<int>{}, {1}, {4}, {33}, {15, -3}})
    EXPECT_TRUE(test::fails_with([&] { return composite_relu(refused); }, ErrorCode::internal));
}

// c_k = 2 / pi times the integral of relu(cos t) cos(k t) from 0 to pi (half of it for k = 0), here by midpoints.
TEST(SingleRelu, CoefficientsAreThoseOfTheChebyshevSeries) {
  constexpr int kPoints = 100000;
  const ReluApproximation p = single_relu(14);
  for (std::size_t k = 0; k <= 14; ++k) {
    double sum = 0;
    for (int i = 0; i < kPoints; ++i) {
      const double t = std::numbers::pi * (i + 0.5) / kPoints;
      sum += std::max(std::cos(t), 0.0) * std::cos(static_cast<double>(k) * t);
    }
    EXPECT_NEAR(p.factors[0][k], (k == 0 ? 1 : 2) * sum / kPoints, 1e-8) << k;
  }
}

// The terms that are cut off add up to 1 / (pi (degree + 1)) at 0, where they all have one sign, and nowhere to more.
TEST(SingleRelu, TheErrorIsThatAtZero) {
  for (int degree = 2; degree <= 126; degree += 2) {
    const ReluApproximation p = single_relu(degree);
    EXPECT_NEAR(p.error, 1 / (std::numbers::pi * (degree + 1)), 1e-12) << degree;
    EXPECT_NEAR(evaluate(p, 0), p.error, 1e-12) << degree;
    for (int k = 0; k <= degree; ++k)
      EXPECT_EQ(p.factors[0][static_cast<std::size_t>(k)] == 0, k % 2 == 1 && k > 1) << degree;
  }
}

TEST(SingleRelu, HigherDegreesOfTheSameDepthAreNoCheaper) {
  for (int degree = 4; degree <= 126; degree += 2) {
    const ReluApproximation lower = single_relu(degree - 2), p = single_relu(degree);
    EXPECT_EQ(p.depth, static_cast<int>(std::ceil(std::log2(degree + 1)))) << degree;
    EXPECT_EQ(degrees(p), std::vector<int>{degree});
    if (p.depth == lower.depth) {
      EXPECT_GE(p.products, lower.products) << degree;
    }
  }
}

TEST(SingleRelu, RefusesOtherDegrees) {
  for (int degree : {-2, 0, 1, 3, 127, 128})
    EXPECT_TRUE(test::fails_with([&] { return single_relu(degree); }, ErrorCode::internal));
}

}  // namespace
}  // namespace sotto::compiler
