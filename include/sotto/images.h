#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace sotto {

/// Images in the caller's memory, dense in the order image, channel, row, column (NCHW). It must outlive the call that
/// gets the view. Rows of a flat network are channels x 1 x 1.
///
/// Bytes are pixels, 0 to 255, from which the client's preprocessing makes what the network takes:
/// (pixel / 255 - mean) / std, by channel. Floats are taken as they are, as already preprocessed.
class ImagesView {
 public:
  /// What the numbers are.
  enum class Type {
    bytes,    ///< pixels, 0 to 255
    float32,  ///< preprocessed values
    float64,  ///< preprocessed values
  };

  /// Pixels. Like the others it checks nothing: whoever takes the view throws Error{bad_input} for a shape that is not
  /// the network's, or if `pixels` are no whole images.
  ImagesView(std::span<const std::uint8_t> pixels, std::size_t channels, std::size_t height, std::size_t width)
      : ImagesView(Type::bytes, pixels.data(), pixels.size(), channels, height, width) {}
  /// Values that are preprocessed already.
  ImagesView(std::span<const float> values, std::size_t channels, std::size_t height, std::size_t width)
      : ImagesView(Type::float32, values.data(), values.size(), channels, height, width) {}
  /// Values that are preprocessed already.
  ImagesView(std::span<const double> values, std::size_t channels, std::size_t height, std::size_t width)
      : ImagesView(Type::float64, values.data(), values.size(), channels, height, width) {}

  [[nodiscard]] Type type() const { return type_; }                 ///< of the numbers
  [[nodiscard]] const void* data() const { return data_; }          ///< size() numbers of that type
  [[nodiscard]] std::size_t size() const { return size_; }          ///< numbers in all, not bytes
  [[nodiscard]] std::size_t channels() const { return channels_; }  ///< of an image
  [[nodiscard]] std::size_t height() const { return height_; }      ///< rows of an image
  [[nodiscard]] std::size_t width() const { return width_; }        ///< columns of an image
  /// How many images these are; 0 if they are no whole ones.
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
