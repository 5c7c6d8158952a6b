#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sotto::images {

/// A picture as it came, in [c][h][w]: bytes, or floats that the network takes as they are.
struct Image {
  std::string name;
  int label = -1;  ///< index of the true class, or -1 if unknown
  int channels = 0, height = 0, width = 0;
  std::vector<std::uint8_t> pixels;  ///< with values: those of the picture that they stand for, to be shown
  std::vector<float> values = {};    ///< if any: already preprocessed, in place of pixels
};

}  // namespace sotto::images
