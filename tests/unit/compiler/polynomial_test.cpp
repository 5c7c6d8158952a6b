// Polynomials as squares of others: what they add up to, how many squares they take, and how large their numbers grow.
#include "compiler/polynomial.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>

namespace sotto::compiler {
namespace {

using Channels = std::vector<std::vector<double>>;  // coefficients of 1, x, x^2, .. by channel

Polynomial of_channels(const Channels& channels) {
  std::size_t powers = 2;
  for (const auto& c : channels) powers = std::max(powers, c.size());
  Polynomial p{3, {}};
  for (std::size_t k = 0; k < powers; ++k) {
    p.coefficients.emplace_back();
    for (const auto& c : channels) p.coefficients[k].push_back(k < c.size() ? c[k] : 0);
  }
  return p;
}

double value(const Polynomial& p, std::size_t channel, double x) {
  double y = 0;
  for (std::size_t k = p.coefficients.size(); k-- > 0;) y = y * x + p.coefficients[k][channel];
  return y;
}

// The largest difference from the squares at |x| <= range, and the largest term among them, over the largest value.
struct Comparison {
  double error = 0, excess = 0;
};

Comparison compare(const Polynomial& p, const Squares& s, std::size_t channel, double range) {
  double largest = 0, error = 0, term = 0;
  for (int i = -50; i <= 50; ++i) {
    const double x = range * i / 50;
    double sum = value(s.rest, channel, x);
    for (const auto& square : s.squares) {
      const double root = value(square.base, channel, x);
      sum += square.gain[channel] * root * root;
      term = std::max(term, std::abs(square.gain[channel]) * root * root);
    }
    largest = std::max(largest, std::abs(value(p, channel, x)));
    error = std::max(error, std::abs(sum - value(p, channel, x)));
  }
  return {error / largest, term / largest};
}

TEST(CompleteSquares, AddUpToThePolynomial) {
  std::mt19937_64 rng(1);
  std::uniform_real_distribution<double> uniform(-1, 1);
  for (int degree = 2; degree <= 16; ++degree) {
    for (double range : {0.01, 1.0, 50.0}) {
      Channels channels;
      for (int d = 0; d <= degree; ++d) {  // one channel of every degree
        std::vector<double> c;
        for (int k = 0; k <= d; ++k) c.push_back(uniform(rng) / std::pow(range, k));
        channels.push_back(c);
      }
      const Polynomial p = of_channels(channels);
      ASSERT_EQ(p.degree(), degree);
      for (bool plain : {false, true}) {
        const Squares s = complete_squares(p, range, plain);
        const int half = static_cast<int>(std::bit_ceil(static_cast<unsigned>(degree))) / 2;
        EXPECT_LE(s.rest.degree(), half);
        for (std::size_t c = 0; c < channels.size(); ++c) {
          const Comparison found = compare(p, s, c, range);
          EXPECT_LT(found.error, 1e-8) << degree << " " << c;
          EXPECT_LT(found.excess, 1000) << degree << " " << c << ": large numbers cancel";
        }
        for (const auto& square : s.squares) EXPECT_EQ(square.base.degree(), half);
      }
    }
  }
}

TEST(CompleteSquares, QuadraticsAndQuadraticsOfThemAreOneSquare) {
  const Polynomial q = of_channels({{1, 0.5, 2}, {-3, 1, -0.25}});
  Squares s = complete_squares(q, 0, false);
  ASSERT_EQ(s.squares.size(), 1u);
  EXPECT_EQ(s.rest.degree(), 0);
  EXPECT_EQ(s.squares[0].gain, (std::vector<double>{2, -0.25}));
  EXPECT_EQ(s.squares[0].base.of(0), (std::vector<double>{0.125, -2}));
  const Polynomial twice = affine(sum(product(q, q), q), {0.3, 7}, {1, 2});
  ASSERT_EQ(twice.degree(), 4);
  s = complete_squares(twice, 1, false);
  ASSERT_EQ(s.squares.size(), 1u);
  EXPECT_EQ(s.rest.degree(), 0);
  EXPECT_EQ(complete_squares(s.squares[0].base, 1, false).squares.size(), 1u);
  // A square of a quartic with a linear rest.
  s = complete_squares(sum(product(q, q), Polynomial::identity(3, 2)), 1, false);
  EXPECT_EQ(s.squares.size(), 1u);
  EXPECT_EQ(s.rest.degree(), 1);
}

TEST(CompleteSquares, CubicsAreTwo) {
  const Squares s = complete_squares(of_channels({{0, 1, 0, 1}}), 4, false);
  ASSERT_EQ(s.squares.size(), 2u);
  EXPECT_EQ(s.rest.degree(), 1);
  // (x^2 + 4 x)^2 - (x^2 - 4 x)^2 = 16 x^3: both parts of the difference are alike at 4.
  EXPECT_EQ(s.squares[0].base.of(2)[0], 0.25);
  EXPECT_EQ(s.squares[0].base.of(1)[0], 1);
  EXPECT_EQ(s.squares[1].base.of(1)[0], -1);
  EXPECT_EQ(s.squares[0].gain[0], 1);
  EXPECT_EQ(s.squares[1].gain[0], -1);
}

TEST(CompleteSquares, LinearAndEmptyChannelsHaveNoSquare) {
  const Squares s = complete_squares(of_channels({{0, 0, 1}, {1, 2}, {5}, {}}), 0, false);
  ASSERT_EQ(s.squares.size(), 1u);
  EXPECT_EQ(s.squares[0].gain, (std::vector<double>{1, 0, 0, 0}));
  EXPECT_EQ(s.rest.of(1), (std::vector<double>{0, 2, 0, 0}));
  EXPECT_EQ(s.rest.of(0), (std::vector<double>{0, 1, 5, 0}));
}

TEST(CompleteSquares, NearlyLinearChannelsKeepTheirLinearPart) {
  // x + 0.001 x^2 = 0.001 (x + 500)^2 - 250 would cancel all but three digits.
  const Squares s = complete_squares(of_channels({{0, 1, 0.001}}), 1, false);
  EXPECT_EQ(s.rest.of(1)[0], 1);
  EXPECT_EQ(s.squares[0].base.of(0)[0], 0);
  EXPECT_EQ(s.squares[0].gain[0], 0.001);
  EXPECT_LT(compare(of_channels({{0, 1, 1e-9, 0.01, 1e-7}}),
                    complete_squares(of_channels({{0, 1, 1e-9, 0.01, 1e-7}}), 1, false), 0, 1)
                .excess,
            3);
}

TEST(Polynomials, Arithmetic) {
  const Polynomial x = Polynomial::identity(0, 2), square = product(x, x);
  EXPECT_EQ(square.degree(), 2);
  EXPECT_EQ(product(square, x).degree(), 3);
  EXPECT_EQ(sum(square, affine(square, {-1, -1}, {0, 3})).degree(), 0) << "leading zeros are dropped";
  EXPECT_EQ(affine(x, {0, 0}, {1, 2}).degree(), 0);
  EXPECT_TRUE(affine(square, {0, 0}, {1, 2}).linear());
  EXPECT_EQ(affine(square, {0, 1}, {1, 2}).degree(), 2);
}

}  // namespace
}  // namespace sotto::compiler
