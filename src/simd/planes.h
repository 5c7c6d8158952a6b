#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "simd/kernels.h"

namespace sotto::simd {

/// Offsets of the pixels that the taps of a convolution with stride 1 read: output (y, x) reads (y + dy, x + dx).
struct Offsets {
  int first_y = 0, last_y = 0, first_x = 0, last_x = 0;
};

/// The taps of a convolution with stride 1, in one direction, that touch a pixel.
struct Taps {
  int first = 0, count = 0;
};
/// Tap k of `kernel` lies at k dilation - pad; outputs and inputs: pixels in that direction.
Taps touching(int kernel, int dilation, int pad, int outputs, int inputs);

/// Planes of real numbers with as wide a border of zeros as taps reach: a convolution is then a sum of shifted planes.
class Planes {
 public:
  /// values: [plane][height][width]. The outputs have rows x columns pixels.
  Planes(std::span<const double> values, int height, int width, int rows, int columns, const Offsets& offsets);

  /// What output (0, 0) reads with this offset.
  [[nodiscard]] const double* at(int plane, int dy, int dx) const {
    return values_.data() + static_cast<std::size_t>(plane) * plane_ + static_cast<std::size_t>(dy + top_) * pitch_ +
           static_cast<std::size_t>(dx + left_);
  }

  /// out[y][x] += sum over t of a[t] x[t](y, x), in the order of t; x: from at(). scratch is made as large as need be.
  void add(double* out, std::span<const double* const> x, std::span<const double> a,
           std::vector<double>& scratch) const;

 private:
  std::size_t rows_, columns_, pitch_ = 0, plane_ = 0;
  int top_ = 0, left_ = 0;
  std::vector<double> values_;
};

}  // namespace sotto::simd
