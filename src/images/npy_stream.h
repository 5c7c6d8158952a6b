#pragma once

#include <memory>
#include <vector>

#include "images/byte_stream.h"

namespace sotto::images {

/// The items of a NumPy array (format 1.0 to 3.0, C order) one after the other. Objects are refused, never built.
/// Everything throws Error{bad_input} that names the file.
class NpyStream {
 public:
  enum class Type { bytes, floats, integers };

  /// Reads the header.
  explicit NpyStream(std::unique_ptr<ByteStream> bytes);

  [[nodiscard]] const std::vector<std::uint64_t>& shape() const { return shape_; }
  /// bytes: uint8; floats: float16, 32 or 64; integers: all others.
  [[nodiscard]] Type type() const { return type_; }
  /// As NumPy writes it, "<f4".
  [[nodiscard]] const std::string& descr() const { return descr_; }
  [[nodiscard]] const std::string& name() const { return bytes_->name(); }
  [[nodiscard]] std::uint64_t items() const { return items_; }

  /// The next items of an array of uint8.
  void read(std::span<std::uint8_t> dst);
  /// The next items of an array of floats, rounded to float32.
  void read(std::span<float> dst);
  /// The next items of an array of integers or uint8; what exceeds int64 is INT64_MAX.
  void read(std::span<std::int64_t> dst);

  void skip(std::uint64_t items);
  /// Reads what is left and checks that nothing follows.
  void finish();

 private:
  void parse_header(const std::string& text);
  template <class T, class F>
  void convert(std::span<T> dst, const F& item_of);

  std::unique_ptr<ByteStream> bytes_;
  std::string descr_;
  std::vector<std::uint64_t> shape_;
  Type type_ = Type::bytes;
  bool big_endian_ = false;
  std::size_t item_bytes_ = 1;
  std::uint64_t items_ = 1, taken_ = 0;
};

/// "64x3x32x32".
std::string shape_text(const std::vector<std::uint64_t>& shape);

}  // namespace sotto::images
