#include <fmt/format.h>

#include <array>
#include <system_error>

#include "images/byte_stream.h"
#include "images/refuse.h"
#include "images/source.h"

namespace sotto::images {

namespace fs = std::filesystem;

namespace {

std::uint32_t big_endian(std::span<const unsigned char> b) {
  return static_cast<std::uint32_t>(b[0]) << 24 | static_cast<std::uint32_t>(b[1]) << 16 |
         static_cast<std::uint32_t>(b[2]) << 8 | b[3];
}

// An IDX file of bytes: magic, sizes of the axes, items. Returns the sizes.
template <std::size_t axes>
std::array<std::uint32_t, axes> read_header(ByteStream& file) {
  std::array<unsigned char, 4 + 4 * axes> header{};
  const std::size_t got = file.read(header);
  if (got < 4 || header[0] != 0 || header[1] != 0 || header[2] != 8 || header[3] != axes)
    refuse(file.name(), fmt::format("it is not an IDX file of bytes with {} ax{}s", axes, axes == 1 ? "i" : "e"));
  if (got < header.size()) refuse(file.name(), "it is truncated");
  std::array<std::uint32_t, axes> sizes{};
  for (std::size_t k = 0; k < axes; ++k) sizes[k] = big_endian(std::span(header).subspan(4 + 4 * k));
  return sizes;
}

class MnistSource : public Source {
 public:
  MnistSource(const fs::path& images, const fs::path& labels, const plan::Interface& io, const LoadOptions& options)
      : name_(images.parent_path().string()), images_(open_stream(images)), labels_(open_stream(labels)) {
    const auto sizes = read_header<3>(*images_);
    const auto count = read_header<1>(*labels_);
    if (count[0] != sizes[0])
      refuse(labels_->name(), fmt::format("it holds {} labels for {} images", count[0], sizes[0]));
    size_ = sizes[0];
    height_ = sizes[1];
    width_ = sizes[2];
    require_shape(images_->name() + " holds images of", 1, height_, width_, io, options);
  }

  [[nodiscard]] std::string name() const override { return name_; }
  [[nodiscard]] std::size_t size() const override { return size_; }
  [[nodiscard]] std::size_t classes() const override { return 10; }
  void skip(std::size_t images) override {
    images_->skip(static_cast<std::uint64_t>(images) * height_ * width_);
    labels_->skip(images);
    next_ += images;
  }
  Image next() override {
    unsigned char label = 0;
    labels_->fill({&label, 1});
    Image image{std::to_string(next_++), label, 1, static_cast<int>(height_), static_cast<int>(width_), {}};
    image.pixels.resize(static_cast<std::size_t>(height_) * width_);
    images_->fill(image.pixels);
    return image;
  }
  void finish() override {
    skip(size_ - next_);
    images_->expect_end();
    labels_->expect_end();
  }

 private:
  std::string name_;
  std::unique_ptr<ByteStream> images_, labels_;
  std::size_t size_ = 0, next_ = 0;
  std::uint32_t height_ = 0, width_ = 0;
};

}  // namespace

std::unique_ptr<Source> open_mnist(const fs::path& dir, bool train, const plan::Interface& io,
                                   const LoadOptions& options) {
  const std::string part = train ? "train" : "t10k";
  // Names as they are published, and as some tools unpack them.
  const auto find = [&](const std::string& what, const char* axes) {
    std::error_code none;
    for (const fs::path& base : {dir, dir / "MNIST/raw", dir / "raw"})
      for (const char* joint : {"-", "."})
        for (const char* ending : {"", ".gz"})
          if (const auto path = base / (part + "-" + what + joint + axes + "-ubyte" + ending); fs::exists(path, none))
            return path;
    throw Error(ErrorCode::bad_input, fmt::format("no MNIST files in {}: {}-{}-{}-ubyte, plain or .gz, is not there",
                                                  dir.string(), part, what, axes));
  };
  const fs::path images = find("images", "idx3"), labels = find("labels", "idx1");
  return std::make_unique<MnistSource>(images, labels, io, options);
}

}  // namespace sotto::images
