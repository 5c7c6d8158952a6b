// Pictures, arrays and data sets.
#include <zlib.h>

#include <cmath>
#include <cstring>

#include "decode/picture.h"
#include "fuzz/targets.h"
#include "images/image_source.h"
#include "images/pickle.h"
#include "support/chunks.h"

namespace sotto::fuzz {

namespace {

constexpr std::size_t kMostPixels = 1 << 16;

void require_small(std::uint64_t width, std::uint64_t height) {
  if (width == 0 || height == 0 || width > kMostPixels || height > kMostPixels || width * height > kMostPixels)
    throw Error(ErrorCode::bad_input, "too large");
}

bool is_whole(const decode::Picture& p) {
  return (p.channels == 1 || p.channels == 3) && p.width > 0 && p.height > 0 &&
         p.pixels.size() == static_cast<std::size_t>(p.channels) * static_cast<std::size_t>(p.width) *
                                static_cast<std::size_t>(p.height);
}

// With right checksums, as far as chunks can be told.
test::Bytes with_checksums(Input input) {
  test::Bytes file(input.begin(), input.end());
  for (std::size_t at = 8; file.size() >= at + 12;) {
    const std::size_t length = static_cast<std::size_t>(file[at]) << 24 | static_cast<std::size_t>(file[at + 1]) << 16 |
                               static_cast<std::size_t>(file[at + 2]) << 8 | file[at + 3];
    if (length > file.size() - at - 12) break;
    const auto sum = static_cast<std::uint32_t>(crc32_z(0, file.data() + at + 4, length + 4));
    for (std::size_t k = 0; k < 4; ++k) file[at + 8 + length + k] = static_cast<unsigned char>(sum >> (24 - 8 * k));
    at += length + 12;
  }
  return file;
}

// Grey images of 2 rows and 3 columns, colour ones, and rows of six values.
const plan::Interface kNetworks[] = {{1, 2, 3, {0.5}, {0.25}, {}, 4},
                                     {3, 2, 3, {0.1, 0.2, 0.3}, {1, 2, 3}, {"cat", "dog", "ship"}, 3},
                                     {6, 1, 1, {0, 0, 0, 0, 0, 0}, {1, 1, 1, 1, 1, 1}, {}, 4}};

// For some of the networks, read in every way.
bool load(const std::string& source, std::span<const plan::Interface> networks = kNetworks) {
  bool accepted = false;
  for (const plan::Interface& io : networks)
    for (const images::ArrayLayout layout : {images::ArrayLayout::unstated, images::ArrayLayout::nhwc})
      for (const images::Fit fit : {images::Fit::exact, images::Fit::stretch, images::Fit::crop}) {
        images::LoadOptions options{
            .fit = fit, .layout = layout, .labels = images::TrueLabels::dropped, .note = [](const auto&) {}};
        if (layout != images::ArrayLayout::unstated && !images::is_array(source)) continue;
        if (fit != images::Fit::exact && io.height == 1) continue;
        accepted |= accepts([&] {
          for (const images::Image& image : images::load_images({source}, io, 0, {}, options)) {
            const std::vector<double> values = images::preprocess(image, io);
            require(values.size() == static_cast<std::size_t>(io.channels * io.height * io.width),
                    "an image of another size");
            for (const double v : values) require(std::isfinite(v), "a value that is not finite");
            require(image.label < io.outputs, "a label beyond the outputs");
          }
        });
      }
  return accepted;
}

}  // namespace

bool read_png(Input input) {
  const test::Bytes file = with_checksums(input);
  return accepts([&] { require(is_whole(decode::decode_png(file, require_small)), "a picture that is not whole"); });
}

bool read_jpeg(Input input) {
  return accepts([&] { require(is_whole(decode::decode_jpeg(input, require_small)), "a picture that is not whole"); });
}

bool read_npy(Input input) {
  static const test::TempFolder folder;
  const test::Bytes array(input.begin(), input.end());
  test::write_bytes(folder / "a.npy", array);
  const bool accepted = load((folder / "a.npy").string());
  // The same as the images and as the labels of an archive, which is slow.
  if (!accepted) return false;
  test::write_bytes(folder / "a.npz", test::zip({{"images.npy", array}}, false));
  require(load((folder / "a.npz").string()), "an array is refused in an archive");
  const test::Bytes grey = test::npy("|u1", "(2, 2, 3)", test::Bytes(12, 7));
  test::write_bytes(folder / "b.npz", test::zip({{"images.npy", grey}, {"labels.npy", array}}, true));
  (void)load((folder / "b.npz").string(), std::span(kNetworks).first(1));
  return true;
}

bool read_npz(Input input) {
  static const test::TempFolder folder;
  test::write_bytes(folder / "a.npz", {input.begin(), input.end()});
  return load((folder / "a.npz").string());
}

// The number of bytes of the labels' file, one byte; that file; the images' file.
bool read_idx(Input input) {
  static const test::TempFolder folder;
  if (input.empty()) return false;
  const Input files = input.subspan(1), labels = files.first(std::min<std::size_t>(input[0], files.size())),
              pixels = files.subspan(labels.size());
  test::write_bytes(folder / "t10k-labels-idx1-ubyte", {labels.begin(), labels.end()});
  test::write_bytes(folder / "t10k-images-idx3-ubyte", {pixels.begin(), pixels.end()});
  return load("mnist:" + folder.path().string());
}

bool read_pickle(Input input) {
  return accepts([&] {
    const images::PickledBatch batch = images::parse_pickle(input);
    const auto inside = [&](std::string_view v) {
      const auto* begin = reinterpret_cast<const char*>(input.data());
      require(v.empty() || (v.data() >= begin && v.size() <= static_cast<std::size_t>(begin + input.size() - v.data())),
              "a view that leaves the file");
    };
    for (const auto& [name, texts] : batch.texts)
      for (const std::string_view t : texts) inside(t);
    for (const auto& [name, array] : batch.arrays) inside(array.bytes);
  });
}

}  // namespace sotto::fuzz
