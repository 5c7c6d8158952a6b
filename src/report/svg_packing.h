#pragma once

#include <string>

#include "packing/layout.h"

namespace sotto::report {

/// What lies in the slots of one ciphertext: `images` images, of each `group` channels, of each `tile.h` x
/// `tile.w` positions. An <svg> element with the classes of svg_plot.h, `box`, `chosen` and `zoom`.
std::string packing_picture(int images, int group, const packing::Axes& tile);

}  // namespace sotto::report
