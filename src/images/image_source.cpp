#include "images/image_source.h"

#include <fmt/format.h>
#include <sodium.h>
#include <stb_image.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>

#include "base/error.h"
#include "wire/fields.h"

namespace sotto::images {

namespace fs = std::filesystem;

namespace {

[[noreturn]] void bad(const std::string& what) { throw Error(ErrorCode::bad_input, what); }

// The standard binary CIFAR layouts: label bytes, then 3072 pixel bytes.
struct Cifar {
  const char* prefix;
  const char* folder;
  std::vector<const char*> files;
  std::size_t label_bytes;  // the last one counts
};

const std::vector<Cifar>& cifar_layouts() {
  static const std::vector<Cifar> layouts = {
      {"cifar10:", "cifar-10-batches-bin", {"test_batch.bin"}, 1},
      {"cifar10-train:",
       "cifar-10-batches-bin",
       {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"},
       1},
      {"cifar100:", "cifar-100-binary", {"test.bin"}, 2},
      {"cifar100-train:", "cifar-100-binary", {"train.bin"}, 2},
  };
  return layouts;
}

constexpr std::size_t kCifarPixels = 3 * 32 * 32;

void require_range(std::size_t available, std::size_t start, std::optional<std::size_t> count,
                   const std::string& where) {
  if (available == 0) bad("no images in " + where + " (PNG and JPEG files are read)");
  if (count && *count == 0) throw Error(ErrorCode::usage, "--count must be at least 1");
  if (start >= available || (count && *count > available - start))
    bad(fmt::format("{} holds {} images; --start {}{} asks for more", where, available, start,
                    count ? fmt::format(" --count {}", *count) : ""));
}

std::vector<Image> load_cifar(const Cifar& layout, const fs::path& dir, std::size_t start,
                              std::optional<std::size_t> count) {
  const fs::path base = fs::exists(dir / layout.folder) ? dir / layout.folder : dir;
  const std::size_t record = layout.label_bytes + kCifarPixels;
  std::vector<std::size_t> sizes;
  std::size_t available = 0;
  for (const char* name : layout.files) {
    const fs::path file = base / name;
    std::error_code error;
    const auto bytes = fs::file_size(file, error);
    if (error) bad("cannot read " + file.string() + ": " + error.message());
    if (bytes % record != 0)
      bad(file.string() + " is truncated or not a CIFAR binary file: its size is no multiple of " +
          std::to_string(record));
    sizes.push_back(bytes / record);
    available += sizes.back();
  }
  require_range(available, start, count, dir.string());
  std::vector<Image> images;
  const std::size_t end = start + count.value_or(available - start);
  std::size_t first = 0;
  std::vector<char> bytes(record);
  for (std::size_t f = 0; f < sizes.size(); first += sizes[f++]) {
    const std::size_t lo = std::max(start, first), hi = std::min(end, first + sizes[f]);
    if (lo >= hi) continue;
    std::ifstream file(base / layout.files[f], std::ios::binary);
    file.seekg(static_cast<std::streamoff>((lo - first) * record));
    for (std::size_t i = lo; i < hi; ++i) {
      if (!file.read(bytes.data(), static_cast<std::streamsize>(record)))
        bad("cannot read " + (base / layout.files[f]).string());
      Image image{std::to_string(i), static_cast<std::uint8_t>(bytes[layout.label_bytes - 1]), 3, 32, 32, {}};
      image.pixels.assign(bytes.begin() + static_cast<std::ptrdiff_t>(layout.label_bytes), bytes.end());
      images.push_back(std::move(image));
    }
  }
  return images;
}

bool is_picture(const fs::path& p) {
  std::string e = p.extension().string();
  std::transform(e.begin(), e.end(), e.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return e == ".png" || e == ".jpg" || e == ".jpeg";
}

int label_of(const fs::path& path, const std::vector<std::string>& classes) {
  const std::string stem = path.stem().string();
  const std::string word = stem.substr(0, stem.find_first_of("-_0123456789"));
  for (const std::string& name : {path.parent_path().filename().string(), word})
    if (const auto it = std::find(classes.begin(), classes.end(), name); it != classes.end())
      return static_cast<int>(it - classes.begin());
  return -1;
}

Image load_picture(const fs::path& path, const plan::Interface& io) {
  int width = 0, height = 0, channels = 0;
  const auto refuse = [&](const std::string& what) { bad("cannot use " + path.string() + ": " + what); };
  if (!stbi_info(path.c_str(), &width, &height, &channels))
    refuse(fs::exists(path) ? "it is not a PNG or JPEG picture" : "it does not exist");
  if (width != io.width || height != io.height)
    refuse(fmt::format("it is {}x{} pixels, the network takes {}x{}; resize it first", width, height, io.width,
                       io.height));
  if (io.channels != 1 && io.channels != 3)
    refuse("pictures have 1 or 3 channels, the network takes " + std::to_string(io.channels));
  const std::unique_ptr<stbi_uc, void (*)(void*)> data(stbi_load(path.c_str(), &width, &height, &channels, io.channels),
                                                       stbi_image_free);
  if (data == nullptr) refuse(std::string("it is damaged (") + stbi_failure_reason() + ")");
  Image image{path.filename().string(), label_of(path, io.classes), io.channels, height, width, {}};
  const auto plane = static_cast<std::size_t>(width) * height;
  image.pixels.resize(plane * io.channels);
  for (int c = 0; c < io.channels; ++c)
    for (std::size_t p = 0; p < plane; ++p) image.pixels[c * plane + p] = data.get()[p * io.channels + c];
  return image;
}

std::vector<fs::path> list_pictures(const std::vector<std::string>& sources) {
  std::vector<fs::path> paths;
  for (const std::string& s : sources) {
    if (!fs::exists(s))
      bad("cannot read " + s +
          ": no such file or folder; a data source is cifar10:DIR, cifar100:DIR (test images), cifar10-train:DIR, "
          "cifar100-train:DIR, or PNG and JPEG files or folders of "
          "them");
    if (!fs::is_directory(s)) {
      if (!fs::is_regular_file(s)) bad("cannot read " + s + ": it is not a regular file");
      paths.emplace_back(s);
      continue;
    }
    std::vector<fs::path> found;
    for (const auto& entry : fs::recursive_directory_iterator(s, fs::directory_options::skip_permission_denied))
      if (entry.is_regular_file() && is_picture(entry.path())) found.push_back(entry.path());
    std::sort(found.begin(), found.end());
    paths.insert(paths.end(), found.begin(), found.end());
  }
  return paths;
}

}  // namespace

std::vector<Image> load_images(const std::vector<std::string>& sources, const plan::Interface& io, std::size_t start,
                               std::optional<std::size_t> count) {
  if (sources.empty()) throw Error(ErrorCode::usage, "name the images with --data");
  try {
    for (const Cifar& layout : cifar_layouts()) {
      if (!sources.front().starts_with(layout.prefix)) continue;
      if (sources.size() > 1) throw Error(ErrorCode::usage, "--data takes one CIFAR folder, or pictures, not both");
      if (io.channels != 3 || io.height != 32 || io.width != 32)
        bad(fmt::format("CIFAR images are 3x32x32, the network takes {}x{}x{}", io.channels, io.height, io.width));
      return load_cifar(layout, sources.front().substr(std::string(layout.prefix).size()), start, count);
    }
    const auto paths = list_pictures(sources);
    require_range(paths.size(), start, count, sources.size() == 1 ? sources.front() : "the list");
    std::vector<Image> images;
    for (std::size_t i = start; i < start + count.value_or(paths.size() - start); ++i)
      images.push_back(load_picture(paths[i], io));
    return images;
  } catch (const fs::filesystem_error& e) {
    bad(std::string("cannot read the images: ") + e.what());
  }
}

std::string digest_of(const std::vector<Image>& images) {
  unsigned char hash[16];
  crypto_generichash_state state;
  crypto_generichash_init(&state, nullptr, 0, sizeof hash);
  for (const Image& image : images) {
    crypto_generichash_update(&state, reinterpret_cast<const unsigned char*>(image.name.c_str()),
                              image.name.size() + 1);
    crypto_generichash_update(&state, image.pixels.data(), image.pixels.size());
  }
  crypto_generichash_final(&state, hash, sizeof hash);
  return wire::to_hex(hash, sizeof hash);
}

std::vector<double> preprocess(const Image& image, const plan::Interface& io) {
  std::vector<double> out(image.pixels.size());
  const std::size_t plane = static_cast<std::size_t>(image.height) * image.width;
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = (image.pixels[i] / 255.0 - io.mean[i / plane]) / io.std[i / plane];
  return out;
}

}  // namespace sotto::images
