// The factored embedding against its definition.
#include "bootstrap/slot_matrix.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <set>

#include "support/values.h"

namespace sotto::bootstrap {
namespace {

// Slots of the element with these coefficients: the sum of m_i (x^i + x^-i) at x = exp(2 pi i 5^j / 4n).
std::vector<double> slots_of(const std::vector<double>& m) {
  const std::size_t n = m.size();
  std::vector<double> v;
  std::size_t g = 1;
  for (std::size_t j = 0; j < n; ++j, g = g * 5 % (4 * n)) {
    double sum = m[0];
    for (std::size_t i = 1; i < n; ++i)
      sum +=
          2 * m[i] * std::cos(2 * std::numbers::pi * static_cast<double>(g * i % (4 * n)) / static_cast<double>(4 * n));
    v.push_back(sum);
  }
  return v;
}

std::vector<double> apply_all(const std::vector<SlotMatrix>& factors, std::vector<double> v) {
  for (const SlotMatrix& m : factors) v = m * v;
  return v;
}

class Embedding : public ::testing::TestWithParam<std::tuple<std::size_t, int>> {};

TEST_P(Embedding, InverseFindsTheCoefficientsUpToOrderAndSigns) {
  const auto [n, factors] = GetParam();
  const std::vector<double> m = test::random_values(n, 1, 1);
  const std::vector<double> found = apply_all(inverse_embedding(n, factors), slots_of(m));
  std::multiset<double> expected, actual;
  for (double x : m) expected.insert(std::abs(x));
  for (double x : found) actual.insert(std::abs(x));
  auto it = actual.begin();
  for (double x : expected) EXPECT_NEAR(*it++, x, 1e-12);
}

TEST_P(Embedding, IsTheInverseOfItsInverse) {
  const auto [n, factors] = GetParam();
  const std::vector<double> v = test::random_values(n, 2, 1);
  EXPECT_LT(test::relative_error(apply_all(embedding(n, factors), apply_all(inverse_embedding(n, factors), v)), v),
            1e-12);
  EXPECT_LT(test::relative_error(apply_all(inverse_embedding(n, factors), apply_all(embedding(n, factors), v)), v),
            1e-12);
}

TEST_P(Embedding, FactorsHaveTheShiftsOfTheirShapes) {
  const auto [n, factors] = GetParam();
  const auto shapes = factor_shapes(n, factors);
  const auto forward = inverse_embedding(n, factors), back = embedding(n, factors);
  for (int f = 0; f < factors; ++f) {
    const FactorShape& shape = shapes[static_cast<std::size_t>(f)];
    std::set<std::size_t> allowed;
    for (int i = shape.first; i <= shape.last; ++i)
      for (std::int64_t half : {std::int64_t{0}, static_cast<std::int64_t>(n / 2)})
        allowed.insert(static_cast<std::size_t>(i * shape.step + half + static_cast<std::int64_t>(2 * n)) % n);
    for (const SlotMatrix* m :
         {&forward[static_cast<std::size_t>(f)], &back[static_cast<std::size_t>(factors - 1 - f)]})
      for (const auto& [shift, diagonal] : m->diagonals) EXPECT_TRUE(allowed.contains(shift)) << shift;
  }
}

INSTANTIATE_TEST_SUITE_P(All, Embedding,
                         ::testing::Values(std::tuple{8, 1}, std::tuple{8, 2}, std::tuple{64, 1}, std::tuple{64, 2},
                                           std::tuple{64, 5}, std::tuple{512, 3}, std::tuple{512, 4}));

}  // namespace
}  // namespace sotto::bootstrap
