#include <png.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstring>
#include <new>
#include <string>

#include "base/error.h"
#include "decode/picture.h"

namespace sotto::decode {

namespace {

[[noreturn]] void fail(const std::string& what) { throw Error(ErrorCode::bad_input, what); }

std::uint32_t big_endian(const unsigned char* b) {
  return static_cast<std::uint32_t>(b[0]) << 24 | static_cast<std::uint32_t>(b[1]) << 16 |
         static_cast<std::uint32_t>(b[2]) << 8 | b[3];
}

// Chunks without which a picture means something else have names that begin with a capital; all others may be passed
// over.
bool is_known_or_ancillary(const unsigned char* name) {
  constexpr std::array kKnown = {"IHDR", "PLTE", "IDAT", "IEND"};
  return (name[0] & 0x20) != 0 ||
         std::ranges::any_of(kKnown, [&](const char* known) { return std::memcmp(name, known, 4) == 0; });
}

// Walks through the chunks up to IEND: each must be whole and have the right checksum, in chunks that are passed over,
// too. libpng would only warn about those.
void check_chunks(std::span<const unsigned char> file, const SizeCheck& check_size) {
  std::size_t at = 8;
  for (bool first = true;; first = false) {
    if (file.size() < at || file.size() - at < 12) fail("it is truncated");
    const unsigned char* chunk = file.data() + at;
    const std::size_t length = big_endian(chunk);
    if (length > file.size() - at - 12) fail("it is truncated");
    if (crc32_z(0, chunk + 4, length + 4) != big_endian(chunk + 8 + length))
      fail("it is damaged (a checksum is wrong)");
    if (first) {
      if (std::memcmp(chunk + 4, "IHDR", 4) != 0 || length != 13) fail("it is damaged (its header is missing)");
      check_size(big_endian(chunk + 8), big_endian(chunk + 12));
    }
    if (!is_known_or_ancillary(chunk + 4)) fail("it is damaged, or needs more than PNG (a chunk is unknown)");
    if (std::memcmp(chunk + 4, "IEND", 4) == 0) return;
    at += length + 12;
  }
}

// Bytes of the file that may lie between the last row and the end of the compressed data: a few, in any number of
// chunks. libpng inflates all that there is to find that end, a thousand times as much.
constexpr std::size_t kMostBehind = 16384;

// What outlives a jump out of libpng.
struct Decoder {
  std::span<const unsigned char> file;
  std::size_t at = 0, behind = 0;
  // The number of rows, once they are read from, and whether all of them and the end of their data were.
  png_uint_32 rows_to_read = UINT32_MAX;
  bool pixels_read = false;
  std::string message;
  int width = 0, height = 0, channels = 0;
  std::vector<unsigned char> bytes;
  std::vector<png_bytep> rows;
  std::vector<std::array<unsigned char, 4>> palette;  // colours and their opacity, if bytes are indices
};

void on_error(png_structp png, png_const_charp message) {
  static_cast<Decoder*>(png_get_error_ptr(png))->message = message;
  png_longjmp(png, 1);
}

// What matters is an error.
void on_warning(png_structp, png_const_charp) {}

void on_read(png_structp png, png_bytep dst, std::size_t bytes) {
  auto& decoder = *static_cast<Decoder*>(png_get_io_ptr(png));
  if (bytes > decoder.file.size() - decoder.at) png_error(png, "truncated");
  const bool behind = png_get_current_row_number(png) >= decoder.rows_to_read ||
                      png_get_current_pass_number(png) >= PNG_INTERLACE_ADAM7_PASSES;
  if (behind && !decoder.pixels_read && (decoder.behind += bytes) > kMostBehind)
    png_error(png, "it holds more data than pixels");
  std::memcpy(dst, decoder.file.data() + decoder.at, bytes);
  decoder.at += bytes;
}

// Colours of pixels that are indices: libpng itself would take those beyond the palette for black.
bool read_palette(Decoder& decoder, png_structp png, png_infop info) {
  png_colorp colours = nullptr;
  png_bytep opacities = nullptr;
  int count = 0, stated = 0;
  if (png_get_PLTE(png, info, &colours, &count) == 0) return false;
  if (png_get_tRNS(png, info, &opacities, &stated, nullptr) == 0) stated = 0;
  for (int k = 0; k < count; ++k)
    decoder.palette.push_back(
        {colours[k].red, colours[k].green, colours[k].blue, k < stated ? opacities[k] : png_byte{255}});
  return true;
}

// In place of indices.
void look_up_colours(Decoder& decoder) {
  std::vector<unsigned char> colours;
  colours.reserve(4 * decoder.bytes.size());
  for (const unsigned char index : decoder.bytes) {
    if (index >= decoder.palette.size()) fail("parts of it have colours that its palette lacks");
    colours.insert(colours.end(), decoder.palette[index].begin(), decoder.palette[index].end());
  }
  decoder.bytes = std::move(colours);
  decoder.channels = 4;
}

// libpng leaves by longjmp: no object with a destructor may live in this function.
bool decode(Decoder& decoder, png_structp png, png_infop info) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;  // NOLINT(cert-err52-cpp): libpng's way
  png_set_read_fn(png, &decoder, on_read);
  png_set_benign_errors(png, 0);
  // Of all chunks that pixels do not depend on nothing is read: texts can inflate to gigabytes.
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
  png_read_info(png, info);
  if (png_get_color_type(png, info) == PNG_COLOR_TYPE_PALETTE) {
    if (!read_palette(decoder, png, info)) png_error(png, "no palette");
    png_set_packing(png);  // a byte for each index
  } else {
    png_set_expand(png);  // fewer than 8 bits, a transparent colour
  }
  png_set_scale_16(png);
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
  decoder.width = static_cast<int>(png_get_image_width(png, info));
  decoder.height = static_cast<int>(png_get_image_height(png, info));
  decoder.channels = png_get_channels(png, info);
  const std::size_t row = png_get_rowbytes(png, info);
  decoder.bytes.resize(row * static_cast<std::size_t>(decoder.height));
  for (int y = 0; y < decoder.height; ++y)
    decoder.rows.push_back(decoder.bytes.data() + row * static_cast<std::size_t>(y));
  decoder.rows_to_read = png_get_image_height(png, info);
  png_read_image(png, decoder.rows.data());
  decoder.pixels_read = true;
  png_read_end(png, nullptr);
  return true;
}

}  // namespace

Picture decode_png(std::span<const unsigned char> file, const SizeCheck& check_size) {
  check_chunks(file, check_size);
  Decoder decoder;
  decoder.file = file;
  png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &decoder, on_error, on_warning);
  if (png == nullptr) throw std::bad_alloc();
  png_infop info = png_create_info_struct(png);
  if (info == nullptr) {
    png_destroy_read_struct(&png, nullptr, nullptr);
    throw std::bad_alloc();
  }
  const bool whole = decode(decoder, png, info);
  png_destroy_read_struct(&png, &info, nullptr);
  if (!whole && decoder.message.find("emory") != std::string::npos) throw std::bad_alloc();  // as libpng says it
  if (!whole) fail("it is damaged (" + decoder.message + ")");
  if (!decoder.palette.empty()) look_up_colours(decoder);
  const int channels = decoder.channels;
  Picture picture{channels, decoder.height, decoder.width, planes_of(decoder.bytes, channels)};
  if (channels == 1 || channels == 3) return picture;
  // Grey or colour, and opacity behind it.
  picture.channels = channels - 1;
  const std::size_t colours = picture.pixels.size() / static_cast<std::size_t>(channels) * (channels - std::size_t{1});
  for (std::size_t k = colours; k < picture.pixels.size(); ++k)
    if (picture.pixels[k] != 255) fail("parts of it are transparent; put it on a background first");
  picture.pixels.resize(colours);
  return picture;
}

}  // namespace sotto::decode
