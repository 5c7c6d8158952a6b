#pragma once

#include <vector>

namespace sotto::compiler {

/// A polynomial p close to relu(x) = max(x, 0) on [-1, 1], for homomorphic evaluation, in one of two forms.
///
/// composite: p(x) = x (1 + s(x)) / 2 with s = p_k o .. o p_1 close to the sign of x: odd minimax polynomials after
/// Lee, Lee, No, Kim, "Minimax approximation of sign function by composite polynomial for homomorphic comparison"
/// (ePrint 2020/834, section 3), used for ReLU in ePrint 2021/1688. single: p(x) = x / 2 + q(x) / 2 with q the even
/// minimax polynomial of |x|.
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

/// The approximation of least depth whose error is at most `error`; of those, one of the fewest products; and of that
/// one's degrees, the polynomials of least error. Factors have degrees 3 to 31, single series degrees 2 to 126. Takes
/// less than a second. (A single series, where it reaches the error, is never deeper than a composite.)
///
/// Throws Error{usage} unless `error` is in [2^-20, 1/4].
ReluApproximation approximate_relu(double error);

/// The composite of least error (but not below 2^-21), for odd degrees from 3 to 31, innermost first, at least one.
ReluApproximation composite_relu(const std::vector<int>& degrees);

/// The composite of degrees 15, 15, 27 of ePrint 2021/1688, there for an error of 2^-13.
ReluApproximation minimax_15_15_27();

/// The single series of least error, for an even degree from 2 to 126. (An odd degree gives nothing more.)
ReluApproximation single_relu(int degree);

/// p(x) for x in [-1, 1]. Outside, the values are useless: they grow like (2 |x|) to the power of the product of the
/// degrees, so what is evaluated must be scaled into the range first.
double evaluate(const ReluApproximation& p, double x);

}  // namespace sotto::compiler
