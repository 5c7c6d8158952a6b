#pragma once

#include <string>

namespace sotto::report {

/// What lies in the slots of one ciphertext: `images` images, of each `group` channels, of each `tile` x `tile`
/// positions. An <svg> element with the classes of svg_plot.h, `box`, `chosen` and `zoom`.
std::string packing_picture(int images, int group, int tile);

}  // namespace sotto::report
