#pragma once

#include <optional>
#include <string>
#include <vector>

#include "images/image.h"
#include "images/load_options.h"
#include "plan/plan.h"

namespace sotto::images {

/// Whether a source is a NumPy file, by its name.
bool is_array(const std::string& source);

/// Reads images. `sources` is one of
/// - "cifar10:DIR", "cifar100:DIR" (and "cifar10-train:", "cifar100-train:"): the binary or Python files;
/// - "mnist:DIR", "mnist-train:DIR": IDX files, plain or gzip;
/// - one NumPy file, .npy or .npz (with true labels in an array `labels` or `y`);
/// - any number of folders and PNG or JPEG files. A folder is read with all below it, links too, in the order of names.
///   A picture's label is the class that its folder or the beginning of its file name (up to '-', '_' or a digit)
///   names, if it is one of io.classes; its name is the path from the folder that was given.
///
/// start, count: which images, after ordering; all from `start` on without a count. Throws Error{bad_input} if there
/// are too few, or if one does not suit the network, Error{usage} for a source that makes no sense.
std::vector<Image> load_images(const std::vector<std::string>& sources, const plan::Interface& io, std::size_t start,
                               std::optional<std::size_t> count, const LoadOptions& options = {});

/// A source as it works from any folder; "cifar10:" and the like stay in front.
std::string absolute_source(const std::string& source);

/// A hash of names, shapes, pixels and values, in hexadecimal digits.
std::string digest_of(const std::vector<Image>& images);

/// What the network gets, in [c][h][w]: the values of an image if it has any, else (pixel / 255 - mean) / std.
std::vector<double> preprocess(const Image& image, const plan::Interface& io);

}  // namespace sotto::images
