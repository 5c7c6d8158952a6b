#pragma once

#include <algorithm>
#include <cstddef>

#include "base/index.h"
#include "circuit/term.h"

namespace sotto::circuit {

/// `count` products of one weight of a term: destination[k] gets weight * source[k * stride], times factor[k] if there
/// are factors.
struct TermRow {
  int out = 0, in = 0;  ///< channels
  double weight = 0;
  std::size_t source = 0, destination = 0;
  int count = 0, stride = 1;
  const double* factor = nullptr;
};

/// Walks through all products of a term, whose weights are not zero, on values in [c][h][w]: row(TermRow).
template <class F>
void for_each_row(const Term& term, const Shape& in, const Shape& out, F&& row) {
  const bool full = term.kind == Term::Kind::full;
  const int kh = full ? in.height : term.kernel_h, kw = full ? in.width : term.kernel_w;
  const std::size_t in_plane = static_cast<std::size_t>(in.height) * in.width;
  const std::size_t out_plane = static_cast<std::size_t>(out.height) * out.width;
  for_each_pair(term, in, out, [&](int o, int i, const double* weights) {
    TermRow r{o, i};
    r.stride = term.stride_w;
    for (int ky = 0; ky < kh; ++ky) {
      for (int kx = 0; kx < kw; ++kx) {
        r.weight = weights[term.even ? 0 : ky * kw + kx];
        if (r.weight == 0) continue;
        const int dy = ky * term.dilation_h - term.pad_top, dx = kx * term.dilation_w - term.pad_left;
        const auto rows = inside(out.height, term.stride_h, dy, in.height);
        const auto columns = inside(out.width, term.stride_w, dx, in.width);
        r.count = columns.last - columns.first;
        if (r.count <= 0) continue;
        // Rows that follow each other in both maps are one: small maps have short ones.
        const bool whole = term.stride_h == 1 && r.count == in.width && r.count == out.width;
        const int height = std::max(rows.last - rows.first, 0), step = whole ? std::max(height, 1) : 1;
        if (whole) r.count *= height;
        for (int y = rows.first; y < rows.last; y += step) {
          r.source = i * in_plane + static_cast<std::size_t>(y * term.stride_h + dy) * in.width +
                     static_cast<std::size_t>(columns.first * term.stride_w + dx);
          const std::size_t pixel = static_cast<std::size_t>(y) * out.width + columns.first;
          r.destination = o * out_plane + pixel;
          if (!term.map.empty()) r.factor = term.map.data() + pixel;
          row(r);
        }
      }
    }
  });
}

}  // namespace sotto::circuit
