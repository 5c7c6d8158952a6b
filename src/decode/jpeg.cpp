#include <csetjmp>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <new>
#include <string>

#include "base/error.h"
#include "decode/picture.h"

// Behind <cstdio>, which they need.
#include <jerror.h>
#include <jpeglib.h>

namespace sotto::decode {

namespace {

constexpr int kMostScans = 500;  // of a progressive picture: a small file could hold very many over a large one

[[noreturn]] void fail(const std::string& what) { throw Error(ErrorCode::bad_input, what); }

// What outlives a jump out of libjpeg.
struct Decoder {
  jpeg_error_mgr errors{};  // must come first: libjpeg knows no more of it
  jpeg_progress_mgr progress{};
  jpeg_decompress_struct jpeg{};
  std::jmp_buf jump{};
  char message[JMSG_LENGTH_MAX] = {};
  std::vector<unsigned char> bytes;
};

Decoder& decoder_of(j_common_ptr jpeg) { return *static_cast<Decoder*>(jpeg->client_data); }

void on_error(j_common_ptr jpeg) {
  Decoder& decoder = decoder_of(jpeg);
  jpeg->err->format_message(jpeg, decoder.message);
  std::longjmp(decoder.jump, 1);  // NOLINT(cert-err52-cpp): libjpeg's way
}

// A warning means that data were lost or made up, apart from two about versions.
void on_message(j_common_ptr jpeg, int level) {
  const int code = jpeg->err->msg_code;
  if (level < 0 && code != JWRN_JFIF_MAJOR && code != JWRN_ADOBE_XFORM) on_error(jpeg);
}

void on_progress(j_common_ptr jpeg) {
  if (reinterpret_cast<j_decompress_ptr>(jpeg)->input_scan_number > kMostScans) {
    std::strcpy(decoder_of(jpeg).message, "it has too many scans");
    std::longjmp(decoder_of(jpeg).jump, 1);  // NOLINT(cert-err52-cpp): libjpeg's way
  }
}

// libjpeg leaves by longjmp: no object with a destructor may live in these functions.
bool read_header(Decoder& decoder, std::span<const unsigned char> file) {
  if (setjmp(decoder.jump) != 0) return false;  // NOLINT(cert-err52-cpp): libjpeg's way
  jpeg_create_decompress(&decoder.jpeg);
  decoder.jpeg.client_data = &decoder;
  decoder.jpeg.progress = &decoder.progress;
  jpeg_mem_src(&decoder.jpeg, file.data(), file.size());
  jpeg_save_markers(&decoder.jpeg, JPEG_APP0 + 1, 0xffff);
  jpeg_read_header(&decoder.jpeg, TRUE);
  return true;
}

bool read_pixels(Decoder& decoder) {
  if (setjmp(decoder.jump) != 0) return false;  // NOLINT(cert-err52-cpp): libjpeg's way
  auto& jpeg = decoder.jpeg;
  jpeg.out_color_space = jpeg.num_components == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_start_decompress(&jpeg);
  const std::size_t row =
      static_cast<std::size_t>(jpeg.output_width) * static_cast<std::size_t>(jpeg.output_components);
  decoder.bytes.resize(row * jpeg.output_height);
  while (jpeg.output_scanline < jpeg.output_height) {
    JSAMPROW line = decoder.bytes.data() + row * jpeg.output_scanline;
    jpeg_read_scanlines(&jpeg, &line, 1);
  }
  jpeg_finish_decompress(&jpeg);
  return true;
}

// The orientation in an EXIF block (TIFF, first directory, tag 0x112), 1 if there is none.
int orientation_of(std::span<const unsigned char> exif) {
  constexpr std::size_t kStart = 6, kEntry = 12;
  if (exif.size() < kStart + 8 || std::memcmp(exif.data(), "Exif\0\0", kStart) != 0) return 1;
  const auto tiff = exif.subspan(kStart);
  const bool little = tiff[0] == 'I';
  const auto number = [&](std::size_t at, std::size_t bytes) {
    std::size_t value = 0;
    for (std::size_t k = 0; k < bytes; ++k) value = value << 8 | tiff[at + (little ? bytes - 1 - k : k)];
    return value;
  };
  const std::size_t directory = number(4, 4);
  if (directory > tiff.size() - 2) return 1;
  const std::size_t entries = number(directory, 2);
  for (std::size_t k = 0; k < entries; ++k) {
    const std::size_t at = directory + 2 + k * kEntry;
    if (at + kEntry > tiff.size()) return 1;
    if (number(at, 2) == 0x112) return static_cast<int>(number(at + 8, 2));
  }
  return 1;
}

}  // namespace

Picture decode_jpeg(std::span<const unsigned char> file, const SizeCheck& check_size) {
  Decoder decoder;
  decoder.jpeg.err = jpeg_std_error(&decoder.errors);
  decoder.jpeg.client_data = &decoder;
  decoder.errors.error_exit = on_error;
  decoder.errors.emit_message = on_message;
  decoder.progress.progress_monitor = on_progress;
  // Frees what libjpeg holds, however this ends.
  const struct Cleanup {
    jpeg_decompress_struct& jpeg;
    ~Cleanup() { jpeg_destroy_decompress(&jpeg); }
  } cleanup{decoder.jpeg};
  const auto damaged = [&] {
    if (decoder.errors.msg_code == JERR_OUT_OF_MEMORY) throw std::bad_alloc();
    fail("it is damaged or truncated (" + std::string(decoder.message) + ")");
  };
  if (!read_header(decoder, file)) damaged();
  if (decoder.jpeg.num_components != 1 && decoder.jpeg.num_components != 3)
    fail("it is in CMYK colours; convert it to RGB");
  int orientation = 1;
  for (auto* marker = decoder.jpeg.marker_list; marker != nullptr; marker = marker->next)
    if (orientation == 1) orientation = orientation_of({marker->data, marker->data_length});
  const bool turned = orientation >= 5 && orientation <= 8;
  const std::uint64_t width = decoder.jpeg.image_width, height = decoder.jpeg.image_height;
  check_size(turned ? height : width, turned ? width : height);
  if (!read_pixels(decoder)) damaged();
  const int channels = decoder.jpeg.output_components;
  return upright({channels, static_cast<int>(height), static_cast<int>(width), planes_of(decoder.bytes, channels)},
                 orientation);
}

}  // namespace sotto::decode
