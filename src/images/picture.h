#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "images/image.h"

namespace sotto::images {

/// A decoded picture, upright, without a name.
using Picture = Image;

/// Called with the width and height before anything of a picture's size is decoded; throws to refuse it.
using SizeCheck = std::function<void(std::uint64_t width, std::uint64_t height)>;

/// Decodes a PNG or JPEG file to 1 (grey) or 3 channels, as it is stored. All throw Error{bad_input}, without the
/// file's name, for damaged and truncated files.
/// - PNG: every checksum must be right; palettes become colours, 16 bits become 8 (rounded), gamma is ignored;
///   transparency is refused where a pixel is not opaque.
/// - JPEG: grey or colour, not CMYK; turned upright as its EXIF orientation says. Its data have no checksums.
Picture decode_picture(std::span<const unsigned char> file, const SizeCheck& check_size);
Picture decode_png(std::span<const unsigned char> file, const SizeCheck& check_size);
Picture decode_jpeg(std::span<const unsigned char> file, const SizeCheck& check_size);

/// Bytes in [y][x][c] to [c][y][x].
std::vector<std::uint8_t> planes_of(std::span<const unsigned char> interleaved, int channels);

/// With 1 or 3 channels: grey is 0.299 R + 0.587 G + 0.114 B, rounded, as Pillow's.
Image with_channels(Image image, int channels);

/// Turned and mirrored so that an image with this EXIF orientation (1 to 8) is upright.
Image upright(Image image, int orientation);

}  // namespace sotto::images
