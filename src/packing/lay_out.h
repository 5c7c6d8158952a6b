#pragma once

#include <vector>

#include "circuit/circuit.h"
#include "packing/layout.h"

namespace sotto::packing {

/// The size of the largest canvas (Layout) that a value of the circuit needs: strides leave its pixels apart. What is
/// larger than any packing has room for is given as too large, not exactly.
Axes canvas_of(const circuit::Circuit& circuit);

/// The layout of every value of a circuit, for tiles of T.h x T.w positions (`tile` T) and G channels per ciphertext
/// (`group`). A value keeps the pixels' places of the first one that it is made from, so that neighbours stay where
/// they are. fill: channels lie in the gaps that strides leave (Layout::fill), as many as there is room for; of one
/// channel per ciphertext, and of circuits without factors of one pixel, which are spread over their tile.
std::vector<Layout> lay_out(const circuit::Circuit& circuit, const Axes& tile, int group, bool fill = false);

}  // namespace sotto::packing
