#include "images/npy_stream.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <string_view>

#include "images/refuse.h"

namespace sotto::images {

namespace {

constexpr std::size_t kMostHeader = 1 << 16, kMostAxes = 8;
constexpr std::uint64_t kMostItems = std::uint64_t{1} << 48;
constexpr std::size_t kPiece = 4096;  // items converted at a time

// The dictionary of an NPY header: {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }. Nothing else of
// Python's syntax occurs in one that NumPy wrote for an array without fields.
class HeaderText {
 public:
  explicit HeaderText(std::string_view text) : text_(text) {}

  bool take(char c) {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  std::optional<std::string> quoted() {
    const char quote = take('\'') ? '\'' : take('"') ? '"' : '\0';
    const std::size_t end = quote == '\0' ? std::string_view::npos : text_.find(quote, at_);
    if (end == std::string_view::npos) return {};
    std::string word(text_.substr(at_, end - at_));
    at_ = end + 1;
    return word;
  }
  std::optional<bool> boolean() {
    take(' ');
    for (const bool value : {false, true}) {
      const std::string_view word = value ? "True" : "False";
      if (text_.substr(at_).substr(0, word.size()) != word) continue;
      at_ += word.size();
      return value;
    }
    return {};
  }
  std::optional<std::uint64_t> number() {
    take(' ');
    const std::size_t start = at_;
    std::uint64_t value = 0;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
      if (value > kMostItems) return {};
      value = 10 * value + static_cast<std::uint64_t>(text_[at_] - '0');
    }
    take('L');  // of Python 2
    return at_ == start ? std::nullopt : std::optional(value);
  }
  std::optional<std::vector<std::uint64_t>> shape() {
    std::vector<std::uint64_t> axes;
    if (!take('(')) return {};
    while (!take(')')) {
      const auto axis = number();
      if (!axis || axes.size() == kMostAxes) return {};
      axes.push_back(*axis);
      if (!take(',')) return take(')') ? std::optional(axes) : std::nullopt;
    }
    return axes;
  }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
};

float half_to_float(std::uint16_t bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  const float sign = (bits & 0x8000) != 0 ? -1.0F : 1.0F;
  if (exponent == 31)
    return fraction != 0 ? std::numeric_limits<float>::quiet_NaN() : sign * std::numeric_limits<float>::infinity();
  return sign * (exponent == 0 ? std::ldexp(static_cast<float>(fraction), -24)
                               : std::ldexp(static_cast<float>(1024 + fraction), exponent - 25));
}

template <class T>
T loaded(const unsigned char* item) {
  T value;
  std::memcpy(&value, item, sizeof value);
  return value;
}

float float_at(const unsigned char* item, std::size_t bytes) {
  switch (bytes) {
    case 2:
      return half_to_float(loaded<std::uint16_t>(item));
    case 4:
      return loaded<float>(item);
    default: {
      // Beyond float32 would be undefined; the caller refuses what is not finite.
      const double value = loaded<double>(item);
      return std::abs(value) > std::numeric_limits<float>::max() ? std::numeric_limits<float>::infinity()
                                                                 : static_cast<float>(value);
    }
  }
}

template <class Signed, class Unsigned>
std::int64_t widened(const unsigned char* item, bool is_signed) {
  if (is_signed) return loaded<Signed>(item);
  return static_cast<std::int64_t>(std::min<std::uint64_t>(loaded<Unsigned>(item), INT64_MAX));
}

std::int64_t integer_at(const unsigned char* item, std::size_t bytes, bool is_signed) {
  switch (bytes) {
    case 1:
      return widened<std::int8_t, std::uint8_t>(item, is_signed);
    case 2:
      return widened<std::int16_t, std::uint16_t>(item, is_signed);
    case 4:
      return widened<std::int32_t, std::uint32_t>(item, is_signed);
    default:
      return widened<std::int64_t, std::uint64_t>(item, is_signed);
  }
}

}  // namespace

std::string shape_text(const std::vector<std::uint64_t>& shape) {
  std::string out;
  for (const auto axis : shape) out += (out.empty() ? "" : "x") + std::to_string(axis);
  return out.empty() ? "()" : out;
}

NpyStream::NpyStream(std::unique_ptr<ByteStream> bytes) : bytes_(std::move(bytes)) {
  static_assert(std::endian::native == std::endian::little);
  constexpr std::string_view kMagic("\x93NUMPY", 6);
  std::array<unsigned char, 12> start{};
  const std::size_t got = bytes_->read(std::span(start).first(10));
  if (got < kMagic.size() || std::memcmp(start.data(), kMagic.data(), kMagic.size()) != 0)
    refuse(name(), "it is not a NumPy array");
  if (got < 10) refuse(name(), "it is truncated");
  if (start[6] < 1 || start[6] > 3)
    refuse(name(), "its NPY version is " + std::to_string(start[6]) + ", this program reads 1 to 3");
  std::size_t length = start[8] | start[9] << 8;
  if (start[6] > 1) {
    bytes_->fill(std::span(start).last(2));
    length |= static_cast<std::size_t>(start[10]) << 16 | static_cast<std::size_t>(start[11]) << 24;
  }
  if (length > kMostHeader) refuse(name(), "its header is too long");
  std::string text(length, '\0');
  bytes_->fill({reinterpret_cast<unsigned char*>(text.data()), length});
  parse_header(text);
}

void NpyStream::parse_header(const std::string& text) {
  const auto broken = [&] { refuse(name(), "its NumPy header is not valid"); };
  if (text.find("'|O'") != std::string::npos || text.find("\"|O\"") != std::string::npos)
    refuse(name(), "it holds Python objects, which are never run; save an array of numbers");
  if (text.find("'descr': [") != std::string::npos)
    refuse(name(), "its items have fields; save an array of plain numbers");
  HeaderText header(text);
  std::optional<bool> fortran;
  std::optional<std::vector<std::uint64_t>> shape;
  if (!header.take('{')) broken();
  while (!header.take('}')) {
    const auto key = header.quoted();
    if (!key || !header.take(':')) broken();
    if (*key == "descr") {
      const auto word = header.quoted();
      if (!word) broken();
      descr_ = *word;
    } else if (*key == "fortran_order") {
      fortran = header.boolean();
    } else if (*key == "shape") {
      shape = header.shape();
    } else {
      broken();
    }
    if (!header.take(',') && !header.take('}')) broken();
    if (descr_.size() > 0 && fortran && shape) break;
  }
  if (descr_.empty() || !fortran || !shape) broken();
  if (*fortran && shape->size() > 1) refuse(name(), "it is in Fortran order; save numpy.ascontiguousarray of it");
  static const std::string kKinds = "fiu";
  const bool plain = descr_.size() == 3 && std::string("<>|=").find(descr_[0]) != std::string::npos &&
                     kKinds.find(descr_[1]) != std::string::npos;
  item_bytes_ = plain ? static_cast<std::size_t>(descr_[2] - '0') : 0;
  const bool known = item_bytes_ == 2 || item_bytes_ == 4 || item_bytes_ == 8 || (item_bytes_ == 1 && descr_[1] != 'f');
  if (!known) refuse(name(), "its items are of the type '" + descr_ + "'; save integers or floats, pixels as uint8");
  big_endian_ = descr_[0] == '>';
  type_ = descr_[1] == 'f' ? Type::floats : descr_.substr(1) == "u1" ? Type::bytes : Type::integers;
  shape_ = *shape;
  for (const std::uint64_t axis : shape_) {
    if (axis != 0 && items_ > kMostItems / axis) refuse(name(), "its shape " + shape_text(shape_) + " is too large");
    items_ *= axis;
  }
}

template <class T, class F>
void NpyStream::convert(std::span<T> dst, const F& item_of) {
  check(dst.size() <= items_ - taken_, "more items of an array were read than it has");
  taken_ += dst.size();
  std::vector<unsigned char> raw(std::min(dst.size(), kPiece) * item_bytes_);
  for (std::size_t at = 0; at < dst.size();) {
    const std::size_t count = std::min(kPiece, dst.size() - at);
    bytes_->fill(std::span(raw).first(count * item_bytes_));
    for (std::size_t k = 0; k < count; ++k) {
      unsigned char* item = raw.data() + k * item_bytes_;
      if (big_endian_) std::reverse(item, item + item_bytes_);
      dst[at++] = item_of(item);
    }
  }
}

void NpyStream::read(std::span<std::uint8_t> dst) {
  check(type_ == Type::bytes, "an array was read as another type");
  check(dst.size() <= items_ - taken_, "more items of an array were read than it has");
  taken_ += dst.size();
  bytes_->fill(dst);
}

void NpyStream::read(std::span<float> dst) {
  check(type_ == Type::floats, "an array was read as another type");
  convert(dst, [this](const unsigned char* item) { return float_at(item, item_bytes_); });
}

void NpyStream::read(std::span<std::int64_t> dst) {
  check(type_ != Type::floats, "an array was read as another type");
  convert(dst, [this](const unsigned char* item) { return integer_at(item, item_bytes_, descr_[1] == 'i'); });
}

void NpyStream::skip(std::uint64_t items) {
  check(items <= items_ - taken_, "more items of an array were read than it has");
  taken_ += items;
  bytes_->skip(items * item_bytes_);
}

void NpyStream::finish() {
  skip(items_ - taken_);
  bytes_->expect_end();
}

}  // namespace sotto::images
