#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "plan/plan.h"

namespace sotto::plan {

/// Standard deviations, in slots, of the errors that encrypted arithmetic makes (docs/adr/0004).
struct NoiseModel {
  /// Rounding of a weight's plaintext, before scaling. Its coefficients are those of the mask times the weight; one
  /// that is zero stays exact, the others err by sqrt(1/12) each, which a slot sees sqrt(2) times but for the constant
  /// one. An empty mask stands for all ones.
  static double weight(const std::vector<std::uint8_t>& mask, std::size_t period);
  /// Rounding of a division by primes, n-dimensional ring, dense ternary secret: 2 n / sqrt(18) before scaling.
  static double rounding(int log_n);
  /// A bootstrapping, against the peak of what slots may hold: measured at rank 2^16 (sotto bench bootstrap), without
  /// the cubic error of the sine.
  static double refresh();
  /// A fresh symmetric encryption with rounded coefficients: sqrt(2 n (sigma^2 + 1/12)).
  static double encryption(int log_n);
};

/// The plan in float64 for one image, with Gaussian errors where the encrypted run makes them: what labels and scores
/// to expect of it, from above: the run rounds weights so that part of the errors cancels (runtime/rounding.h). Same
/// arguments as `interpret`; `seed` decides the errors.
std::vector<double> simulate(const Plan& plan, std::span<const double> image, std::uint64_t seed,
                             const std::function<void(int, std::span<const double>)>& observe = {});

}  // namespace sotto::plan
