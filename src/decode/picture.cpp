#include "decode/picture.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace sotto::decode {

std::vector<std::uint8_t> planes_of(std::span<const unsigned char> interleaved, int channels) {
  const auto count = static_cast<std::size_t>(channels);
  const std::size_t plane = interleaved.size() / count;
  std::vector<std::uint8_t> out(interleaved.size());
  for (std::size_t p = 0; p < plane; ++p)
    for (std::size_t c = 0; c < count; ++c) out[c * plane + p] = interleaved[p * count + c];
  return out;
}

Picture upright(Picture picture, int orientation) {
  if (orientation < 2 || orientation > 8) return picture;
  // EXIF 2.3, tag 0x112: where the first stored row and column belong.
  const bool transposed = orientation >= 5;
  const bool flip_rows = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  const bool flip_columns = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const int stored_width = picture.width, stored_height = picture.height;
  const std::vector<std::uint8_t> stored = std::move(picture.pixels);
  if (transposed) std::swap(picture.width, picture.height);
  picture.pixels.clear();
  picture.pixels.reserve(stored.size());
  for (int c = 0; c < picture.channels; ++c)
    for (int y = 0; y < picture.height; ++y)
      for (int x = 0; x < picture.width; ++x) {
        int row = transposed ? x : y, column = transposed ? y : x;
        if (flip_rows) row = stored_height - 1 - row;
        if (flip_columns) column = stored_width - 1 - column;
        picture.pixels.push_back(stored[(static_cast<std::size_t>(c) * stored_height + row) * stored_width + column]);
      }
  return picture;
}

Picture decode_picture(std::span<const unsigned char> file, const SizeCheck& check_size) {
  if (file.size() > 3 && file[0] == 0x89 && file[1] == 'P' && file[2] == 'N' && file[3] == 'G')
    return decode_png(file, check_size);
  if (file.size() > 2 && file[0] == 0xff && file[1] == 0xd8 && file[2] == 0xff) return decode_jpeg(file, check_size);
  throw Error(ErrorCode::bad_input, "it is not a PNG or JPEG picture");
}

}  // namespace sotto::decode
