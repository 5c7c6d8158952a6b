#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace sotto {

/// Images in the caller's memory, dense in the order image, channel, row, column (NCHW). It must outlive the call that
/// gets the view.
///
/// Bytes are pixels, 0 .. 255, from which the client's preprocessing makes what the network takes:
/// (pixel / 255 - mean) / std, by channel. Floats are taken as they are, as already preprocessed.
class ImagesView {
 public:
  enum class Type { bytes, float32, float64 };

  ImagesView(std::span<const std::uint8_t> pixels, std::size_t channels, std::size_t height, std::size_t width)
      : ImagesView(Type::bytes, pixels.data(), pixels.size(), channels, height, width) {}
  ImagesView(std::span<const float> values, std::size_t channels, std::size_t height, std::size_t width)
      : ImagesView(Type::float32, values.data(), values.size(), channels, height, width) {}
  ImagesView(std::span<const double> values, std::size_t channels, std::size_t height, std::size_t width)
      : ImagesView(Type::float64, values.data(), values.size(), channels, height, width) {}

  [[nodiscard]] Type type() const { return type_; }
  [[nodiscard]] const void* data() const { return data_; }
  [[nodiscard]] std::size_t size() const { return size_; }  ///< numbers in all
  [[nodiscard]] std::size_t channels() const { return channels_; }
  [[nodiscard]] std::size_t height() const { return height_; }
  [[nodiscard]] std::size_t width() const { return width_; }
  /// Images; 0 if there are no whole ones.
  [[nodiscard]] std::size_t count() const {
    const std::size_t each = channels_ * height_ * width_;
    return each == 0 || size_ % each != 0 ? 0 : size_ / each;
  }

 private:
  ImagesView(Type type, const void* data, std::size_t size, std::size_t channels, std::size_t height, std::size_t width)
      : type_(type), data_(data), size_(size), channels_(channels), height_(height), width_(width) {}

  Type type_;
  const void* data_;
  std::size_t size_, channels_, height_, width_;
};

}  // namespace sotto
