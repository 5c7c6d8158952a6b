#pragma once

#include <cmath>
#include <cstddef>

namespace sotto::lowering {

/// Scale of the plaintext of a mask with this period: rounding its coefficients to integers lets at most about 2^-13 of
/// what is masked out through. The error of a slot is sqrt(period / 6) times that of a coefficient, 1 / sqrt(12).
inline double mask_scale(std::size_t period) {
  const double error = std::sqrt(static_cast<double>(period) / 6) / 2;
  return std::exp2(13 + std::ceil(std::log2(std::max(error, 1.0))));
}

}  // namespace sotto::lowering
