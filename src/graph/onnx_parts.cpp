#include "graph/onnx_parts.h"

#include <numeric>

namespace sotto::graph {

std::vector<int> all_channels(int count) {
  std::vector<int> channels(static_cast<std::size_t>(count));
  std::iota(channels.begin(), channels.end(), 0);
  return channels;
}

std::optional<std::vector<Part>> parts_of(const Shape& shape, const Dims& dims) {
  std::vector<Part> parts(dims.size(), Part::none);
  std::int64_t left = shape.c;  // channels without an axis yet
  bool h = shape.h == 1, w = shape.w == 1;
  for (std::size_t k = dims.size(); k-- > 0;) {
    const std::int64_t d = dims[k];
    if (d == 1) continue;
    if (!w && d == shape.w) {
      parts[k] = Part::width;
      w = true;
    } else if (!h && w && d == shape.h) {
      parts[k] = Part::height;
      h = true;
    } else if (!h && !w && d == static_cast<std::int64_t>(shape.h) * shape.w) {
      parts[k] = Part::pixels;
      h = w = true;
    } else if (h && w && d != 0 && left % d == 0) {
      parts[k] = Part::channels;
      left /= d;
    } else {
      return std::nullopt;
    }
  }
  if (!h || !w || left != 1) return std::nullopt;
  return parts;
}

}  // namespace sotto::graph
