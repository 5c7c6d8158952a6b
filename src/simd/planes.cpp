#include "simd/planes.h"

#include <algorithm>
#include <cstdint>

namespace sotto::simd {

Taps touching(int kernel, int dilation, int pad, int outputs, int inputs) {
  Taps taps;
  for (int k = 0; k < kernel; ++k) {
    const std::int64_t offset = std::int64_t{k} * dilation - pad;
    if (offset <= -outputs || offset >= inputs) continue;
    if (taps.count++ == 0) taps.first = k;
  }
  return taps;
}

Planes::Planes(std::span<const double> values, int height, int width, int rows, int columns, const Offsets& offsets)
    : rows_(static_cast<std::size_t>(rows)),
      columns_(static_cast<std::size_t>(columns)),
      top_(std::max(0, -offsets.first_y)),
      left_(std::max(0, -offsets.first_x)) {
  const int bottom = std::max(0, rows + offsets.last_y - height), right = std::max(0, columns + offsets.last_x - width);
  const auto h = static_cast<std::size_t>(height), w = static_cast<std::size_t>(width);
  pitch_ = static_cast<std::size_t>(left_ + width + right);
  plane_ = static_cast<std::size_t>(top_ + height + bottom) * pitch_;
  const std::size_t count = values.size() / (h * w);
  values_.resize(count * plane_);
  for (std::size_t p = 0; p < count; ++p)
    for (std::size_t y = 0; y < h; ++y)
      std::copy_n(values.data() + (p * h + y) * w, w,
                  values_.data() + p * plane_ + (y + static_cast<std::size_t>(top_)) * pitch_ +
                      static_cast<std::size_t>(left_));
}

void Planes::add(double* out, std::span<const double* const> x, std::span<const double> a,
                 std::vector<double>& scratch) const {
  // Rows of the output at the distance that they have in the sources; what lies between them is thrown away.
  scratch.assign((rows_ - 1) * pitch_ + columns_, 0);
  for (std::size_t y = 0; y < rows_; ++y) std::copy_n(out + y * columns_, columns_, scratch.data() + y * pitch_);
  select_kernels().add_scaled(scratch.data(), x.data(), a.data(), a.size(), scratch.size());
  for (std::size_t y = 0; y < rows_; ++y) std::copy_n(scratch.data() + y * pitch_, columns_, out + y * columns_);
}

}  // namespace sotto::simd
