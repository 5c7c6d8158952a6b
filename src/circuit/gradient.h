#pragma once

#include <span>
#include <vector>

#include "circuit/interpret.h"

namespace sotto::circuit {

/// One run of `interpret`, with everything that a gradient needs.
struct Trace {
  std::vector<std::vector<double>> values;  ///< by value, [c][h][w]
  std::vector<std::vector<double>>
      sums;  ///< by op: its sum before the square, or the copied value; of a product's gradient, its result

  [[nodiscard]] const std::vector<double>& scores(const View& circuit) const;
};

/// The float64 interpretation for one preprocessed image, with all values kept. What leaves the range of an activation
/// is taken back to its end, where the polynomial would explode.
Trace trace(const View& circuit, std::span<const double> image);

/// The gradient of sum_k direction[k] * score[k] with respect to every value of a run (reverse mode): same shapes.
/// Polynomials of activations are differentiated numerically.
Trace gradient(const View& circuit, const Trace& run, std::span<const double> direction);

}  // namespace sotto::circuit
