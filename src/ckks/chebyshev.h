#pragma once

#include <functional>
#include <span>
#include <vector>

#include "ckks/evaluator.h"

namespace sotto::ckks {

/// Coefficients of the Chebyshev series of degree `degree` that agrees with f at the Chebyshev nodes of [-1, 1].
std::vector<double> chebyshev_fit(const std::function<double(double)>& f, int degree);

/// The series at x in [-1, 1] (Clenshaw).
double chebyshev_value(std::span<const double> series, double x);

/// Divisions that `chebyshev_evaluate` takes for a series: ceil(log2(degree + 1)), at least 1.
int chebyshev_depth(std::span<const double> series);

/// Relinearisations that it takes.
int chebyshev_products(std::span<const double> series);

/// The series at the slots of x, which must lie in [-1, 1], by baby steps and giant steps in the Chebyshev basis (Chen,
/// Chillotti, Song, ePrint 2018/1043, section 4), an even series as one of half the degree in T_2. The result has
/// x.limbs() - chebyshev_depth() limbs and exactly the scale `scale`. x.scale should be near the primes, which keeps
/// the scales of powers there.
Ciphertext chebyshev_evaluate(const Evaluator& evaluator, const Ciphertext& x, std::span<const double> series,
                              double scale);

}  // namespace sotto::ckks
