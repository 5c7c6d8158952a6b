#pragma once

#include <vector>

namespace sotto::compiler {

/// A polynomial p close to relu(x) = max(x, 0) on [-1, 1], for homomorphic evaluation, in one of two forms.
///
/// composite: p(x) = x (1 + s(x)) / 2 with s = p_k o .. o p_1 close to the sign of x: odd minimax polynomials after
/// Lee, Lee, No, Kim, "Minimax approximation of sign function by composite polynomial for homomorphic comparison"
/// (ePrint 2020/834, section 3), used for ReLU in ePrint 2021/1688. single: the Chebyshev series of relu, cut off. Its
/// largest error, at 0, is 2.2 times that of the minimax polynomial, its mean square error over values as networks have
/// them 0.45 times: labels agree more often with it (docs/adr/0015).
struct ReluApproximation {
  enum class Kind { composite, single };

  Kind kind = Kind::single;
  /// Coefficients of T_0, T_1, .. over [-1, 1]. composite: those of p_1 (innermost) to p_k, all odd. Values of every
  /// factor but the last on [-1, 1] lie in [-c, c], c = 1 - 2^-12, so that the next one has room for noise; the last
  /// gives values near -1 and 1. single: the one series of p.
  std::vector<std::vector<double>> factors;
  double error = 0;  ///< max |p - relu| on [-1, 1]: the larger of the theoretical bound and of what a dense grid shows
  int depth = 0;     ///< levels: ceil(log2(degree + 1)) per factor, scalar products included; composite: one for x s(x)
  int products = 0;  ///< of ciphertexts with each other: each factor by baby and giant steps; composite: one for x s(x)
};

/// The approximation of least depth whose error is at most `error`. A single series (degrees 2, 6, 14, 30, 62, 126: the
/// highest of each depth) where one reaches the error; it is never deeper than a composite. Else the composite of the
/// fewest products with factors of degrees 3 to 31, and of these degrees the polynomials of least error. Takes less
/// than a second.
///
/// Throws Error{usage} unless `error` is in [2^-20, 1/4].
ReluApproximation approximate_relu(double error);

/// The composite of least error (but not below 2^-21), for odd degrees from 3 to 31, innermost first, at least one.
ReluApproximation composite_relu(const std::vector<int>& degrees);

/// The composite of degrees 15, 15, 27 of ePrint 2021/1688, there for an error of 2^-13.
ReluApproximation minimax_15_15_27();

/// The single series for an even degree from 2 to 126. (An odd degree gives nothing more.)
ReluApproximation single_relu(int degree);

/// p(x) for x in [-1, 1]. Outside, the values are useless: they grow like (2 |x|) to the power of the product of the
/// degrees, so what is evaluated must be scaled into the range first.
double evaluate(const ReluApproximation& p, double x);

}  // namespace sotto::compiler
