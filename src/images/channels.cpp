#include "images/channels.h"

#include <utility>

#include "base/error.h"

namespace sotto::images {

Image with_channels(Image image, int channels) {
  if (image.channels == channels) return image;
  check((image.channels == 1 || image.channels == 3) && (channels == 1 || channels == 3), "a picture of odd channels");
  const std::size_t plane = image.pixels.size() / static_cast<std::size_t>(image.channels);
  std::vector<std::uint8_t> pixels(plane * static_cast<std::size_t>(channels));
  for (std::size_t p = 0; p < plane; ++p) {
    if (channels == 3) {
      pixels[p] = pixels[plane + p] = pixels[2 * plane + p] = image.pixels[p];
      continue;
    }
    const unsigned r = image.pixels[p], g = image.pixels[plane + p], b = image.pixels[2 * plane + p];
    pixels[p] = static_cast<std::uint8_t>((19595 * r + 38470 * g + 7471 * b + 0x8000) >> 16);
  }
  image.channels = channels;
  image.pixels = std::move(pixels);
  return image;
}

}  // namespace sotto::images
