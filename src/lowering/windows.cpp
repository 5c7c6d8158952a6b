#include "lowering/windows.h"

#include "base/error.h"
#include "base/index.h"

namespace sotto::lowering {

namespace {

// One direction: phases and distance.
struct Meeting {
  int target = 0, source = 0, distance = 0;
};

std::vector<Meeting> forward(int tap, int stride, int pad, int before, int behind) {
  check(before == behind * stride, "phases do not follow the strides");
  std::vector<Meeting> list;
  for (int p = 0; p < behind; ++p) {
    const int at = p * stride + tap - pad, distance = floor_div(at, before);
    list.push_back({p, at - distance * before, distance});
  }
  return list;
}

// The same meetings seen from the other side.
std::vector<Meeting> transposed(int tap, int stride, int pad, int before, int behind) {
  std::vector<Meeting> list;
  for (const Meeting& m : forward(tap, stride, pad, before, behind)) list.push_back({m.source, m.target, -m.distance});
  return list;
}

template <class Direction>
std::vector<TapPair> taps(const Window& w, int kernel_h, int kernel_w, const Layout& before, const Layout& behind,
                          int target_columns, int source_columns, Direction direction) {
  std::vector<TapPair> list;
  for (int ky = 0; ky < kernel_h; ++ky)
    for (int kx = 0; kx < kernel_w; ++kx)
      for (const Meeting& y : direction(ky, w.stride_h, w.pad_top, before.phases.h, behind.phases.h))
        for (const Meeting& x : direction(kx, w.stride_w, w.pad_left, before.phases.w, behind.phases.w))
          list.push_back({ky * kernel_w + kx, y.target * target_columns + x.target,
                          y.source * source_columns + x.source, y.distance, x.distance});
  return list;
}

}  // namespace

std::vector<TapPair> forward_taps(const Window& window, int kernel_h, int kernel_w, const Layout& before,
                                  const Layout& behind) {
  return taps(window, kernel_h, kernel_w, before, behind, behind.phases.w, before.phases.w, forward);
}

std::vector<TapPair> transposed_taps(const Window& window, int kernel_h, int kernel_w, const Layout& before,
                                     const Layout& behind) {
  return taps(window, kernel_h, kernel_w, before, behind, before.phases.w, behind.phases.w, transposed);
}

}  // namespace sotto::lowering
