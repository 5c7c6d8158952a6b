#include "images/image_source.h"

#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <filesystem>

#include "base/hex.h"
#include "base/shortage.h"
#include "images/fit.h"
#include "images/refuse.h"
#include "images/source.h"

namespace sotto::images {

namespace fs = std::filesystem;

namespace {

[[noreturn]] void bad(const std::string& what, Setting setting = Setting::none) {
  throw Error(ErrorCode::bad_input, what, setting);
}

constexpr std::array kDataSets = {
    "cifar10:", "cifar10-train:", "cifar100:", "cifar100-train:", "mnist:", "mnist-train:"};

// The prefix of a data set that the source begins with, or nothing.
std::string data_set(const std::string& source) {
  for (const char* prefix : kDataSets)
    if (source.starts_with(prefix)) return prefix;
  return "";
}

std::unique_ptr<Source> open_source(const std::vector<std::string>& sources, const plan::Interface& io,
                                    const LoadOptions& options) {
  for (const std::string& source : sources)
    if (sources.size() > 1 && (!data_set(source).empty() || is_array(source)))
      throw Error(ErrorCode::usage, "images come from one data set, one array, or pictures, not from several of these");
  const std::string prefix = data_set(sources.front());
  const bool array = is_array(sources.front());
  if (options.layout != ArrayLayout::unstated && !array)
    throw Error(ErrorCode::usage, "the order of axes is for arrays (.npy, .npz); other images have one of their own",
                Setting::layout);
  if (array) return open_array(sources.front(), io, options);
  if (prefix.empty()) return open_pictures(sources, io, options);
  const fs::path dir = sources.front().substr(prefix.size());
  const bool train = prefix.ends_with("-train:");
  if (prefix.starts_with("mnist")) return open_mnist(dir, train, io, options);
  require_shape("CIFAR images are", 3, 32, 32, io, options);
  return open_cifar(dir, prefix.starts_with("cifar100"), train);
}

void require_range(std::size_t available, std::size_t start, std::optional<std::size_t> count,
                   const std::string& where) {
  if (available == 0) bad("no images in " + where);
  if (count && *count == 0) throw Error(ErrorCode::usage, "at least one image must be asked for", Setting::count);
  if (start >= available || (count && *count > available - start))
    bad(fmt::format("{} holds {} images; {} from number {} on are asked for", where, available,
                    count ? fmt::to_string(*count) : "those", start),
        Setting::count);
}

bool same_name(const std::string& a, const std::string& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

// Why true labels of the source cannot be those of the network, empty if they can.
std::string misfit(const Source& source, const std::vector<Image>& images, const plan::Interface& io) {
  const std::vector<std::string> names = source.class_names();
  const std::size_t classes = names.empty() ? source.classes() : names.size();
  const auto outputs = static_cast<std::size_t>(io.outputs);
  if (classes != 0 && (classes < outputs || (!names.empty() && classes != outputs)))
    return fmt::format("{} has {} classes, the network {} outputs", source.name(), classes, outputs);
  for (const Image& image : images)
    if (image.label >= io.outputs)
      return fmt::format("image {} of {} has the true label {}, the network has {} outputs", image.name, source.name(),
                         image.label, outputs);
  if (names.empty() || io.classes.empty()) return "";
  for (std::size_t c = 0; c < names.size(); ++c)
    if (same_name(names[c], io.classes[c])) return "";
  return fmt::format("{} has the classes {}, {}, ..., the network {}, {}, ...", source.name(), names[0], names.back(),
                     io.classes[0], io.classes.back());
}

void look_at_labels(const Source& source, std::vector<Image>& images, const plan::Interface& io,
                    const LoadOptions& options) {
  if (options.labels == TrueLabels::unchecked) return;
  const std::string why = misfit(source, images, io);
  if (why.empty()) return;
  if (options.labels == TrueLabels::needed) bad(why + "; are these the images for this network?");
  if (options.labels == TrueLabels::checked)
    bad(why + "; are these the images for this network? Without true labels (PNG files, or an array) they can be used");
  for (Image& image : images) image.label = -1;
  if (options.note) options.note(why + "; are these the images for this network? Their true labels are left out");
}

// What values look like as a picture.
void show_values(Image& image, const plan::Interface& io) {
  const std::size_t plane = static_cast<std::size_t>(io.height) * static_cast<std::size_t>(io.width);
  image.pixels.resize(image.values.size());
  for (std::size_t i = 0; i < image.values.size(); ++i) {
    const double pixel = 255 * (static_cast<double>(image.values[i]) * io.std[i / plane] + io.mean[i / plane]);
    image.pixels[i] = static_cast<std::uint8_t>(std::lround(std::clamp(pixel, 0.0, 255.0)));
  }
}

}  // namespace

bool is_array(const std::string& source) {
  std::string ending = fs::path(source).extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  std::error_code none;
  return (ending == ".npy" || ending == ".npz") && !fs::is_directory(source, none);
}

std::string shape_text(std::size_t channels, std::size_t height, std::size_t width) {
  return fmt::format("{}x{}x{}", channels, height, width);
}

bool takes(const plan::Interface& io, std::size_t channels, std::size_t height, std::size_t width) {
  const auto c = static_cast<std::size_t>(io.channels), h = static_cast<std::size_t>(io.height),
             w = static_cast<std::size_t>(io.width);
  if (channels == c && height == h && width == w) return true;
  return h == 1 && w == 1 && channels <= c && height <= c && width <= c && channels * height * width == c;
}

void require_shape(const std::string& what, std::size_t channels, std::size_t height, std::size_t width,
                   const plan::Interface& io, const LoadOptions& options) {
  if (takes(io, channels, height, width)) return;
  const bool scalable = channels == static_cast<std::size_t>(io.channels) && height > 0 && width > 0 &&
                        height <= kMostPixels && width <= kMostPixels && height * width <= kMostPixels;
  if (scalable && options.fit != Fit::exact) return;
  bad(fmt::format("{} {}, the network takes {}{}", what, shape_text(channels, height, width),
                  shape_text(static_cast<std::size_t>(io.channels), static_cast<std::size_t>(io.height),
                             static_cast<std::size_t>(io.width)),
                  scalable ? "; have them fitted" : ""),
      scalable ? Setting::fit : Setting::none);
}

std::vector<Image> load_images(const std::vector<std::string>& sources, const plan::Interface& io, std::size_t start,
                               std::optional<std::size_t> count, const LoadOptions& options) {
  if (sources.empty()) throw Error(ErrorCode::usage, "no images are named");
  try {
    const auto source = open_source(sources, io, options);
    require_range(source->size(), start, count, source->name());
    source->skip(start);
    std::vector<Image> images;
    for (std::size_t left = count.value_or(source->size() - start); left > 0; --left) {
      if (options.check_stop) options.check_stop();
      Image image = source->next();
      if (!takes(io, static_cast<std::size_t>(image.channels), static_cast<std::size_t>(image.height),
                 static_cast<std::size_t>(image.width)))
        image = fitted(std::move(image), io.height, io.width, options.fit);
      if (!image.values.empty()) show_values(image, io);
      images.push_back(std::move(image));
    }
    source->finish();
    look_at_labels(*source, images, io, options);
    if (options.note)
      for (const std::string& note : source->notes()) options.note(note);
    return images;
  } catch (const fs::filesystem_error& e) {
    if (is_shortage(e.code().value())) throw;
    bad(std::string("cannot read the images: ") + e.what());
  }
}

std::string absolute_source(const std::string& source) {
  const std::string prefix = data_set(source);
  const fs::path path = source.substr(prefix.size());
  return prefix + (path.empty() ? path : fs::absolute(path)).string();  // no path, as a damaged note has it, stays none
}

std::string digest_of(const std::vector<Image>& images) {
  unsigned char hash[16];
  crypto_generichash_state state;
  crypto_generichash_init(&state, nullptr, 0, sizeof hash);
  const auto update = [&](const void* data, std::size_t bytes) {
    crypto_generichash_update(&state, static_cast<const unsigned char*>(data), bytes);
  };
  for (const Image& image : images) {
    const std::int32_t shape[] = {image.channels, image.height, image.width};
    update(image.name.c_str(), image.name.size() + 1);
    update(shape, sizeof shape);
    update(image.pixels.data(), image.pixels.size());
    update(image.values.data(), image.values.size() * sizeof(float));
  }
  crypto_generichash_final(&state, hash, sizeof hash);
  return to_hex(hash);
}

std::vector<double> preprocess(const Image& image, const plan::Interface& io) {
  if (!image.values.empty()) return {image.values.begin(), image.values.end()};
  std::vector<double> out(image.pixels.size());
  // Of the network: a flat one has as many channels as values.
  const std::size_t plane = static_cast<std::size_t>(io.height) * static_cast<std::size_t>(io.width);
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = (image.pixels[i] / 255.0 - io.mean[i / plane]) / io.std[i / plane];
  return out;
}

}  // namespace sotto::images
