#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "images/npy_stream.h"
#include "images/refuse.h"
#include "images/source.h"
#include "images/zip_archive.h"

namespace sotto::images {

namespace fs = std::filesystem;

namespace {

struct Shape {
  std::uint64_t channels, height, width;
};

bool fits(const Shape& s, const plan::Interface& io, Fit fit) {
  return takes(io, s.channels, s.height, s.width) ||
         (fit != Fit::exact && s.channels == static_cast<std::uint64_t>(io.channels));
}

bool is_flat(const plan::Interface& io) { return io.height == 1 && io.width == 1; }

// The shape of one image of the array, read in one order of axes or the other; nothing if it has too few or too many.
std::optional<Shape> shape_of(const std::vector<std::uint64_t>& axes, bool nhwc, bool stated,
                              const plan::Interface& io) {
  const auto channels = static_cast<std::uint64_t>(io.channels), height = static_cast<std::uint64_t>(io.height),
             width = static_cast<std::uint64_t>(io.width);
  if (axes.size() == 4) return nhwc ? Shape{axes[3], axes[1], axes[2]} : Shape{axes[1], axes[2], axes[3]};
  if (axes.size() == 3) return Shape{1, axes[1], axes[2]};
  if (axes.size() != 2) return {};
  // Rows of values: in which order is clear for one channel, or if the user says it.
  if (is_flat(io)) return Shape{axes[1], 1, 1};
  if (axes[1] == channels * height * width && (channels == 1 || stated)) return Shape{channels, height, width};
  return {};
}

// Rows of values, as a picture that can be shown: square if they can be.
void show_as_picture(Image& image) {
  if (image.height != 1 || image.width != 1) return;
  for (const int channels : {1, 3}) {
    const auto side = static_cast<int>(std::lround(std::sqrt(image.channels / channels)));
    if (channels * side * side != image.channels) continue;
    image.channels = channels;
    image.height = image.width = side;
    return;
  }
}

class ArraySource : public Source {
 public:
  ArraySource(std::unique_ptr<ByteStream> array, std::vector<std::int64_t> labels, const plan::Interface& io,
              const LoadOptions& options)
      : array_(std::move(array)), labels_(std::move(labels)), io_(io) {
    if (array_.type() == NpyStream::Type::integers)
      refuse(array_.name(), "its items are of the type '" + array_.descr() +
                                "'; save pixels as uint8 (0 to 255), preprocessed values as float32");
    const auto& axes = array_.shape();
    const bool stated = options.layout != ArrayLayout::unstated;
    nhwc_ = options.layout == ArrayLayout::nhwc;
    const auto shape = shape_of(axes, nhwc_, stated, io), other = shape_of(axes, !nhwc_, true, io);
    const std::string shapes = fmt::format("its shape is {}, the network takes images of {}", shape_text(axes),
                                           shape_text(static_cast<std::size_t>(io.channels), io.height, io.width));
    // As many values in another order would be silently wrong.
    const bool doubtful = !stated && is_flat(io) && axes.size() == 4 && (axes[3] == 3 || axes[3] == 4) &&
                          axes[1] != 1 && axes[1] != 3 && axes[1] != 4;
    if (!shape || !fits(*shape, io, options.fit) || doubtful) {
      if (axes.size() == 4 && !stated && (doubtful || (other && fits(*other, io, options.fit))))
        refuse(array_.name(), shapes + "; if its axes are image, row, column, channel say so", Setting::layout);
      if (axes.size() == 2 && !stated && other && fits(*other, io, options.fit))
        refuse(array_.name(), shapes + "; say in which order a row is", Setting::layout);
      refuse(array_.name(), shapes + (nhwc_ ? " (its axes are said to be image, row, column, channel)"
                                            : " (its axes must be image, channel, row, column)"));
    }
    shape_ = *shape;
    for (const std::uint64_t axis : {shape_.channels, shape_.height, shape_.width})
      if (axis == 0 || axis > kMostPixels) refuse(array_.name(), shapes);
    if (shape_.channels * shape_.height > kMostPixels || shape_.channels * shape_.height * shape_.width > kMostPixels ||
        axes[0] > SIZE_MAX)
      refuse(array_.name(), shapes);
    if (axes.size() != 2) nhwc_ = nhwc_ && axes.size() == 4;
    if (!labels_.empty() && labels_.size() != axes[0])
      refuse(array_.name(), fmt::format("it holds {} images and {} labels", axes[0], labels_.size()));
  }

  [[nodiscard]] std::string name() const override { return array_.name(); }
  [[nodiscard]] std::size_t size() const override { return array_.shape()[0]; }
  void skip(std::size_t images) override {
    array_.skip(images * shape_.channels * shape_.height * shape_.width);
    next_ += images;
  }
  Image next() override {
    Image image{std::to_string(next_),
                labels_.empty() ? -1 : static_cast<int>(labels_[next_]),
                static_cast<int>(shape_.channels),
                static_cast<int>(shape_.height),
                static_cast<int>(shape_.width),
                {}};
    if (array_.type() == NpyStream::Type::bytes) {
      image.pixels = items<std::uint8_t>();
    } else {
      image.values = items<float>();
      if (!std::all_of(image.values.begin(), image.values.end(), [](float v) { return std::isfinite(v); }))
        refuse(name(), fmt::format("image {} of it has values that are not finite", next_));
      look_at(image.values);
    }
    ++next_;
    show_as_picture(image);
    return image;
  }
  void finish() override { array_.finish(); }
  [[nodiscard]] std::vector<std::string> notes() const override;

 private:
  // The items of one image, in [c][h][w].
  template <class T>
  std::vector<T> items() {
    std::vector<T> in(shape_.channels * shape_.height * shape_.width);
    array_.read(std::span(in));
    if (!nhwc_ || shape_.channels == 1) return in;
    std::vector<T> out(in.size());
    const std::uint64_t plane = shape_.height * shape_.width;
    for (std::uint64_t p = 0; p < plane; ++p)
      for (std::uint64_t c = 0; c < shape_.channels; ++c) out[c * plane + p] = in[p * shape_.channels + c];
    return out;
  }
  // Keeps in mind whether all values so far could be pixels of 0 to 255, or such divided by 255.
  void look_at(const std::vector<float>& values) {
    for (const float v : values) {
      const float scaled = v * 255;
      shades_ = shades_ && v >= 0 && v <= 255;
      whole_ = whole_ && shades_ && v == std::floor(v);
      parts_ = parts_ && v >= 0 && v <= 1 && std::abs(scaled - std::round(scaled)) < 1e-4F;
      largest_ = std::max(largest_, v);
    }
  }

  NpyStream array_;
  std::vector<std::int64_t> labels_;
  plan::Interface io_;
  Shape shape_{};
  bool nhwc_ = false, shades_ = true, whole_ = true, parts_ = true;
  float largest_ = 0;
  std::size_t next_ = 0;
};

// Values that are not whole and above it are no preprocessed ones.
constexpr float kDeepShade = 32;

std::vector<std::string> ArraySource::notes() const {
  if (array_.type() != NpyStream::Type::floats) return {};
  // The largest value that a pixel can become.
  double most = 0;
  bool plain = true;
  for (std::size_t c = 0; c < io_.mean.size(); ++c) {
    most = std::max(most, (1 - io_.mean[c]) / io_.std[c]);
    plain = plain && io_.mean[c] == 0 && io_.std[c] == 1;
  }
  const std::string advice = "; floats are taken as already preprocessed: save uint8 to have pixels preprocessed";
  const bool bytes = std::ranges::all_of(io_.std, [](double s) { return std::abs(s * 255 - 1) < 1e-6; });
  if (bytes && largest_ > 0 && largest_ <= 1)
    return {fmt::format("{} holds floats up to {:.3g}, but this network takes pixels of 0 to 255{}", name(), largest_,
                        advice)};
  // Pictures that were scaled are not whole any more.
  if (((whole_ && largest_ > 1) || (shades_ && largest_ > kDeepShade)) && static_cast<double>(largest_) > 1.01 * most)
    return {
        fmt::format("{} holds floats that look like pixels of 0 to 255, but this network takes values up to {:.3g}{}",
                    name(), most, advice)};
  if (parts_ && largest_ > 0 && !plain && !whole_)
    return {
        fmt::format("{} holds floats that look like pixels divided by 255, but this network takes them less "
                    "a mean and over a deviation{}",
                    name(), advice)};
  return {};
}

// Says what is wrong with it of labels, not of pixels.
NpyStream open_labels(const ZipArchive& archive, const ZipArchive::Member& member) {
  try {
    return NpyStream(archive.open(member));
  } catch (const Error& e) {
    if (e.code() != ErrorCode::bad_input) throw;
    throw Error(e.code(), std::string(e.what()) + " (these are the labels: save one integer per image)");
  }
}

// Two members for one thing. They may even have one name.
[[noreturn]] void refuse_two(const ZipArchive& archive, const ZipArchive::Member& one,
                             const ZipArchive::Member& other) {
  const auto array = [](const ZipArchive::Member& m) { return "'" + m.name.substr(0, m.name.size() - 4) + "'"; };
  refuse(archive.name(), one.name == other.name ? "it has " + array(one) + " twice; keep one"
                                                : "it has both " + array(one) + " and " + array(other) + "; keep one");
}

// The members of an .npz that hold images and, if any, labels.
std::unique_ptr<Source> open_npz(const fs::path& path, const plan::Interface& io, const LoadOptions& options) {
  const ZipArchive archive(path);
  const ZipArchive::Member *images = nullptr, *labels = nullptr, *only = nullptr;
  std::size_t others = 0;
  for (const auto& member : archive.members()) {
    if (!member.name.ends_with(".npy")) continue;
    const std::string name = member.name.substr(0, member.name.size() - 4);
    if (name == "labels" || name == "y") {
      if (labels != nullptr) refuse_two(archive, *labels, member);
      labels = &member;
      continue;
    }
    ++others;
    only = &member;
    if (name == "images" || name == "x") {
      if (images != nullptr) refuse_two(archive, *images, member);
      images = &member;
    }
  }
  if (images == nullptr && others > 1)
    refuse(archive.name(), "it holds several arrays; name the images 'images' and their labels 'labels'");
  if (images == nullptr) images = only;
  if (images == nullptr) refuse(archive.name(), "it holds no array of images");
  std::vector<std::int64_t> truths;
  if (labels != nullptr) {
    NpyStream array = open_labels(archive, *labels);
    const auto& shape = array.shape();
    const bool column = shape.size() == 1 || (shape.size() == 2 && shape[1] == 1);
    if (array.type() == NpyStream::Type::floats || !column)
      refuse(archive.name(), fmt::format("its labels are of the type '{}' and shape {}, not one integer per image",
                                         array.descr(), shape_text(shape)));
    for (std::uint64_t k = 0; k < array.items(); ++k) {  // grows with what is really there
      truths.push_back(0);
      array.read(std::span(&truths.back(), 1));
    }
    array.finish();
    if (std::any_of(truths.begin(), truths.end(), [](std::int64_t t) { return t < -1; }))
      refuse(archive.name(), "a label of it is negative (-1 stands for an unknown one)");
    if (const auto most = std::ranges::max_element(truths); most != truths.end() && *most > INT32_MAX)
      refuse(archive.name(), fmt::format("a label of it is {}; labels are numbers of classes, from 0", *most));
  }
  return std::make_unique<ArraySource>(archive.open(*images), std::move(truths), io, options);
}

bool ending_is_npz(const fs::path& path) {
  const std::string ending = path.extension().string();
  return ending.size() == 4 && (ending[3] == 'z' || ending[3] == 'Z');
}

}  // namespace

std::unique_ptr<Source> open_array(const fs::path& path, const plan::Interface& io, const LoadOptions& options) {
  if (ending_is_npz(path)) return open_npz(path, io, options);
  const auto file = std::make_shared<const InputFile>(path);
  return std::make_unique<ArraySource>(stream_of(file, 0, file->bytes()), std::vector<std::int64_t>{}, io, options);
}

}  // namespace sotto::images
