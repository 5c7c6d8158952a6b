#pragma once

#include <algorithm>
#include <cmath>
#include <random>
#include <span>
#include <vector>

namespace sotto::test {

inline std::vector<double> random_values(std::size_t n, unsigned seed, double bound) {
  std::mt19937_64 rng(seed);
  std::uniform_real_distribution<double> uniform(-bound, bound);
  std::vector<double> v(n);
  for (double& x : v) x = uniform(rng);
  return v;
}

/// Largest difference over largest expected value; infinite if sizes differ or something is not a number.
inline double relative_error(std::span<const double> actual, std::span<const double> expected) {
  if (actual.size() != expected.size() || actual.empty()) return INFINITY;
  double difference = 0, largest = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    if (!std::isfinite(actual[i]) || !std::isfinite(expected[i])) return INFINITY;
    difference = std::max(difference, std::abs(actual[i] - expected[i]));
    largest = std::max(largest, std::abs(expected[i]));
  }
  return difference == 0 ? 0 : difference / largest;
}

}  // namespace sotto::test
