#pragma once

#include <algorithm>

namespace sotto {

/// a / b rounded down, for b > 0.
constexpr int floor_div(int a, int b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

/// Positions [first, last), none if last <= first.
struct Positions {
  int first, last;
};

/// The outputs of `count` whose source, output * stride + offset, lies in [0, size): of one tap of a convolution in one
/// direction, offset being the place of the tap minus the padding.
constexpr Positions inside(int count, int stride, int offset, int size) {
  return {offset >= 0 ? 0 : (-offset + stride - 1) / stride,
          offset >= size ? 0 : std::min(count, (size - 1 - offset) / stride + 1)};
}

}  // namespace sotto
