#pragma once

#include <cstddef>

#include "base/index.h"
#include "plan/plan.h"

namespace sotto::plan {

/// `count` products of one weight of a term: destination[k] is made of weight times source[k * stride].
struct TermRow {
  int out = 0, in = 0;     ///< channels
  std::size_t weight = 0;  ///< index into the term's weights
  std::size_t source = 0, destination = 0;
  int count = 0, stride = 1;
};

/// Walks through all products of a term, whose weights are not zero, on values in [c][h][w]: row(TermRow).
template <class F>
void for_each_row(const Term& term, const Layout& in, const Layout& out, F&& row) {
  const bool full = term.kind == Term::Kind::full;
  const int kh = full ? in.height : term.kernel_h, kw = full ? in.width : term.kernel_w;
  const std::size_t in_plane = static_cast<std::size_t>(in.height) * in.width;
  const std::size_t out_plane = static_cast<std::size_t>(out.height) * out.width;
  TermRow r;
  r.stride = term.stride_w;
  std::size_t weight = 0;
  for (r.out = 0; r.out < out.channels; ++r.out) {
    for (r.in = 0; r.in < in.channels; ++r.in) {
      for (int ky = 0; ky < kh; ++ky) {
        for (int kx = 0; kx < kw; ++kx) {
          r.weight = weight++;
          if (term.weights[r.weight] == 0) continue;  // most taps of poolings and dilated kernels
          const int dy = ky - term.pad_top, dx = kx - term.pad_left;
          const auto rows = inside(out.height, term.stride_h, dy, in.height);
          const auto columns = inside(out.width, term.stride_w, dx, in.width);
          r.count = columns.last - columns.first;
          if (r.count <= 0) continue;
          for (int y = rows.first; y < rows.last; ++y) {
            r.source = r.in * in_plane + static_cast<std::size_t>(y * term.stride_h + dy) * in.width +
                       static_cast<std::size_t>(columns.first * term.stride_w + dx);
            r.destination = r.out * out_plane + static_cast<std::size_t>(y) * out.width + columns.first;
            row(r);
          }
        }
      }
    }
  }
}

}  // namespace sotto::plan
