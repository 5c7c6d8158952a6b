#pragma once

#include <span>
#include <vector>

#include "plan/plan.h"

namespace sotto::plan {

/// One run of `interpret`, with everything that a gradient needs.
struct Trace {
  std::vector<std::vector<double>> tensors;  ///< by tensor, [c][h][w]
  std::vector<std::vector<double>> sums;     ///< by step: its sum before the finish, or the copied tensor

  [[nodiscard]] const std::vector<double>& scores(const Plan& plan) const;
};

/// The float64 interpretation of a plan for one preprocessed image, with all values kept. What leaves the range of an
/// activation is taken back to its end, where the polynomial would explode.
Trace trace(const Plan& plan, std::span<const double> image);

/// The gradient of sum_k direction[k] * score[k] with respect to every value of a run (reverse mode): same shapes.
/// Polynomials of activations are differentiated numerically.
Trace gradient(const Plan& plan, const Trace& run, std::span<const double> direction);

}  // namespace sotto::plan
