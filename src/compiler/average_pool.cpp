#include "compiler/average_pool.h"

#include <algorithm>

namespace sotto::compiler {

PoolAsConvolution as_convolution(const graph::AveragePool& p, const graph::Shape& in, const graph::Shape& out) {
  const int area = p.kernel_h * p.kernel_w;
  std::vector<double> map;
  for (int y = 0; y < out.h; ++y) {
    for (int x = 0; x < out.w; ++x) {
      const auto pixels = [](int from, int kernel, int size) {
        return std::min(from + kernel, size) - std::max(from, 0);
      };
      const int count =
          pixels(y * p.stride_h - p.pad_top, p.kernel_h, in.h) * pixels(x * p.stride_w - p.pad_left, p.kernel_w, in.w);
      map.push_back(p.count_pad ? 1 : static_cast<double>(area) / count);
    }
  }
  double weight = 1.0 / area;
  if (std::ranges::all_of(map, [&](double v) { return v == map.front(); })) {
    weight *= map.front();
    map.clear();
  }
  const auto channels = static_cast<std::size_t>(in.c);
  return {{.out_c = in.c,
           .in_c = in.c,
           .kernel_h = p.kernel_h,
           .kernel_w = p.kernel_w,
           .stride_h = p.stride_h,
           .stride_w = p.stride_w,
           .pad_top = p.pad_top,
           .pad_left = p.pad_left,
           .pad_bottom = p.pad_bottom,
           .pad_right = p.pad_right,
           .groups = in.c,
           .weights = std::vector<double>(channels * static_cast<std::size_t>(area), weight),
           .bias = std::vector<double>(channels)},
          std::move(map)};
}

}  // namespace sotto::compiler
