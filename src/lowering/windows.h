#pragma once

#include <vector>

#include "lowering/arrangement.h"

namespace sotto::lowering {

/// A tap of a convolution between two maps on ciphertexts: pixels of the target's phase read those of the source's
/// phase that lie (dy, dx) tile positions away.
struct TapPair {
  int tap = 0;  ///< ky * kernel_w + kx
  int target_phase = 0, source_phase = 0;
  int dy = 0, dx = 0;
};

/// Taps by which the map behind a convolution reads the one before it.
std::vector<TapPair> forward_taps(const Window& window, int kernel_h, int kernel_w, const Layout& before,
                                  const Layout& behind);
/// Taps by which the map before reads the one behind: the transposed convolution.
std::vector<TapPair> transposed_taps(const Window& window, int kernel_h, int kernel_w, const Layout& before,
                                     const Layout& behind);

}  // namespace sotto::lowering
