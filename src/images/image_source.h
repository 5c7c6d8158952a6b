#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "plan/plan.h"

namespace sotto::images {

/// A picture as it came: bytes in [c][h][w].
struct Image {
  std::string name;
  int label = -1;  ///< index of the true class, or -1 if unknown
  int channels = 0, height = 0, width = 0;
  std::vector<std::uint8_t> pixels;
};

/// Reads images. `sources` is one of: "cifar10:DIR", "cifar10-train:DIR", "cifar100:DIR", "cifar100-train:DIR"
/// (standard binary files in DIR or in their usual subfolder), or any number of folders and PNG or JPEG files. A folder
/// is read recursively, in the order of names. A picture's label is the class that its folder or the beginning of its
/// file name (up to '-', '_' or a digit) names, if it is one of io.classes.
///
/// start, count: which images, after ordering; all from `start` on without a count. Throws Error{bad_input} if there
/// are too few, or if one does not have the size and channels of `io`, Error{usage} for a source that makes no sense.
std::vector<Image> load_images(const std::vector<std::string>& sources, const plan::Interface& io, std::size_t start,
                               std::optional<std::size_t> count);

/// A hash of names and pixels, in hexadecimal digits.
std::string digest_of(const std::vector<Image>& images);

/// (pixel / 255 - mean) / std in [c][h][w].
std::vector<double> preprocess(const Image& image, const plan::Interface& io);

}  // namespace sotto::images
