#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace sotto::decode {

/// A decoded picture, upright, in [c][h][w].
struct Picture {
  int channels = 0;  ///< 1 (grey) or 3
  int height = 0, width = 0;
  std::vector<std::uint8_t> pixels;
};

/// Called once, with the width and height before anything of a picture's size is decoded; throws to refuse it.
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

/// Turned and mirrored so that a picture with this EXIF orientation (1 to 8) is upright.
Picture upright(Picture picture, int orientation);

}  // namespace sotto::decode
