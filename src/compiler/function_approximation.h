#pragma once

#include <optional>
#include <vector>

#include "graph/function.h"
#include "plan/plan.h"

namespace sotto::compiler {

/// A function by polynomials: offset + sum of gain * activation(x + shift) over the pieces, for |x| up to its range.
struct FunctionApproximation {
  struct Piece {
    double shift = 0;
    plan::Activation activation;  ///< its values stay within its range, but for its error
    double gain = 1;
  };
  std::vector<Piece> pieces;
  double offset = 0;
  double error = 0;  ///< at most this on [-range, range]: proved, or for a series what a dense grid shows

  [[nodiscard]] int depth() const;  ///< levels
  [[nodiscard]] double operator()(double x) const;
};

/// The approximation of least depth on [-f.range, f.range] whose error is at most `error` times the span of the
/// function's values there; for relu that is `error` times the range. In the order of preference:
///
/// - relu and others with one bend, at 0: that of compiler/relu_approximation.h, a series or a composite, rescaled;
/// - the Chebyshev series of the whole function, cut off at degree 2^k - 1, up to 255. Values that are small compared
///   with the range, or far from 0, are centred and brought to the range (gain and offset), so that noise does not
///   drown them;
/// - functions of straight lines with other bends: a composite for each bend.
///
/// Nothing if none of these reaches the error. f.range must be positive. Throws Error{usage} unless `error` is in
/// [2^-20, 1/4].
std::optional<FunctionApproximation> approximate(const graph::Function& f, double error);

}  // namespace sotto::compiler
