#include "plan/rounding.h"

#include <algorithm>
#include <cmath>

namespace sotto::plan {

namespace {

// Of the mean square of squared values, which are never negative, two thirds are common to all for normal sums.
constexpr double kAlike = 2.0 / 3;
// Added to the diagonal, over its mean: moments are measured on few images.
constexpr double kRidge = 1e-3;

// matrix = G D G^T, from a symmetric positive matrix. A matrix that is none (from a file) counts as its diagonal.
Rounding::Factor factorise(std::vector<double> matrix, std::size_t size) {
  double trace = 0;
  for (std::size_t k = 0; k < size; ++k) trace += matrix[k * size + k];
  const double ridge = trace > 0 ? kRidge * trace / static_cast<double>(size) : 1;
  for (std::size_t k = 0; k < size; ++k) matrix[k * size + k] += ridge;
  Rounding::Factor f{size, {}, {}, {}};
  for (std::size_t k = 0; k < size; ++k) f.variance.push_back(matrix[k * size + k]);
  const std::vector<double> diagonal = f.variance;
  std::vector<double> column(size);  // of G: the update below reads it in order
  for (std::size_t j = 0; j < size; ++j) {
    const double d = matrix[j * size + j];
    if (!(d > ridge / 2)) {
      Rounding::Factor alone{size, std::vector<double>(size * size), diagonal, {}};
      for (std::size_t k = 0; k < size; ++k) alone.lower[k * size + k] = 1;
      return alone;
    }
    f.variance[j] = d;
    for (std::size_t i = j + 1; i < size; ++i) column[i] = matrix[i * size + j] / d;
    for (std::size_t i = j + 1; i < size; ++i) {
      const double g = matrix[i * size + j];
      if (g == 0) continue;
      double* row = matrix.data() + i * size;
      for (std::size_t k = j + 1; k <= i; ++k) row[k] -= g * column[k];
      row[j] = column[i];
    }
    std::fill(matrix.begin() + static_cast<std::ptrdiff_t>(j * size + j + 1),
              matrix.begin() + static_cast<std::ptrdiff_t>((j + 1) * size), 0.0);
    matrix[j * size + j] = 1;
  }
  f.lower = std::move(matrix);
  return f;
}

// The same for variables of variance 1 of which every two have kAlike in common: what is left after each has the same
// form.
Rounding::Factor factorise_alike(std::size_t size) {
  const double own = 1 + kRidge - kAlike;
  Rounding::Factor f{size, {}, {}, {}};
  double common = kAlike;
  for (std::size_t j = 0; j < size; ++j) {
    f.variance.push_back(own + common);
    f.common.push_back(common / (own + common));
    common *= own / (own + common);
  }
  return f;
}

}  // namespace

Rounding::Rounding(const Tensor& tensor) : moments_(tensor.moments) {
  const auto c = static_cast<std::size_t>(tensor.layout.channels);
  std::vector<double> matrix = moments_.channels;
  const bool known = matrix.size() == c * c;
  for (std::size_t k = 0; k < c; ++k) share_.push_back(known ? matrix[k * c + k] : 1);
  channels_ = known ? factorise(std::move(matrix), c) : factorise_alike(c);
  for (std::size_t k = 0; k < c; ++k) share_[k] = share_[k] > 0 ? std::min(1.0, channels_.variance[k] / share_[k]) : 1;
}

Rounding::Factor Rounding::taps(const Term& term, std::span<const int> list) const {
  std::vector<double> matrix;
  for (int a : list)
    for (int b : list)
      matrix.push_back(a == b
                           ? 1
                           : moments_.correlation((a / term.kernel_w - b / term.kernel_w) * term.dilation_h,
                                                  (a % term.kernel_w - b % term.kernel_w) * term.dilation_w, kAlike));
  return factorise(std::move(matrix), list.size());
}

void Rounding::round(const Factor& taps, std::span<const int> channels,
                     std::span<const std::span<double>> vectors) const {
  std::size_t length = 0;
  for (const auto& v : vectors) length = std::max(length, v.size());
  const std::size_t count = channels.size(), row = taps.size * length;
  // A channel that is not read has no errors. done[c][t]: errors of channel c, weighted for tap t; carried to the
  // channels that follow by G of the channels.
  std::vector<double> done(count * row), wanted(row), sum(row);
  for (std::size_t c = count; c-- > 0;) {
    const auto column = static_cast<std::size_t>(channels[c]);
    if (!channels_.common.empty()) {
      for (std::size_t k = 0; k < row; ++k) wanted[k] = channels_.common[column] * sum[k];
    } else {
      std::fill(wanted.begin(), wanted.end(), 0.0);
      for (std::size_t other = c + 1; other < count; ++other) {
        const double g = channels_.lower[static_cast<std::size_t>(channels[other]) * channels_.size + column];
        const double* from = done.data() + other * row;
        if (g != 0)
          for (std::size_t k = 0; k < row; ++k) wanted[k] += g * from[k];
      }
    }
    double* own = done.data() + c * row;
    for (std::size_t t = taps.size; t-- > 0;) {
      const std::span<double> v = vectors[c * taps.size + t];
      if (v.empty()) continue;
      for (std::size_t k = 0; k < length; ++k) {
        const double rounded = std::nearbyint(v[k] - wanted[t * length + k] - own[t * length + k]);
        const double error = rounded - v[k];
        v[k] = rounded;
        for (std::size_t before = 0; before <= t; ++before)
          own[before * length + k] += taps.lower[t * taps.size + before] * error;
      }
    }
    for (std::size_t k = 0; k < row; ++k) sum[k] += own[k];
  }
}

}  // namespace sotto::plan
