#include "graph/onnx_tensor.h"

#include <onnx/onnx_pb.h>

#include <cmath>
#include <cstring>

#include "base/error.h"
#include "graph/onnx_file.h"
#include "graph/onnx_limits.h"

namespace sotto::graph {

namespace {

constexpr std::size_t kMaxIntegers = std::size_t{1} << 22;  // weights are real: integers are shapes and indices

double half_to_double(std::uint16_t h) {
  const int exponent = h >> 10 & 31, fraction = h & 1023;
  const double sign = h & 0x8000 ? -1.0 : 1.0;
  if (exponent == 31) return std::nan("");
  return exponent == 0 ? sign * std::ldexp(fraction, -24) : sign * std::ldexp(fraction + 1024, exponent - 25);
}

double bfloat_to_double(std::uint16_t b) {
  const std::uint32_t bits = std::uint32_t{b} << 16;
  float value = 0;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// Reads one tensor: every element is a T, in raw bytes or in the field for its type.
class Elements {
 public:
  Elements(const std::string& raw, std::size_t count, const std::string& what)
      : raw_(raw), count_(count), what_(what) {}

  template <class T, class Typed, class Out, class Convert>
  void to(std::vector<Out>& out, const Typed& typed, Convert convert) const {
    const bool fits =
        raw_.empty() ? static_cast<std::size_t>(typed.size()) == count_ : raw_.size() == count_ * sizeof(T);
    if (!fits) throw Error(ErrorCode::bad_input, what_ + ": the data does not fit the shape");
    out.reserve(count_);
    if (raw_.empty()) {
      for (const auto v : typed) out.push_back(convert(static_cast<T>(v)));
      return;
    }
    for (std::size_t i = 0; i < count_; ++i) {
      T v;
      std::memcpy(&v, raw_.data() + i * sizeof(T), sizeof(T));
      out.push_back(convert(v));
    }
  }

  // Integers of a type that is stored in the 32-bit field.
  template <class T>
  void integers(const onnx::TensorProto& tensor, Constant& out) const {
    out.integral = true;
    if (count_ > kMaxIntegers) throw Error(ErrorCode::bad_input, what_ + ": too many integers; weights must be float");
    to<T>(out.integers, tensor.int32_data(), [](T v) { return Integer(v); });
  }

 private:
  const std::string& raw_;
  std::size_t count_;
  const std::string& what_;
};

std::size_t read_dims(const onnx::TensorProto& tensor, const std::string& what, Dims& dims) {
  std::size_t count = 1;
  for (const std::int64_t d : tensor.dims()) {
    if (d < 0 || (d > 0 && count > kMaxElements / static_cast<std::size_t>(d)))
      throw Error(ErrorCode::bad_input, what + ": impossible tensor shape");
    count *= static_cast<std::size_t>(d);
    dims.push_back(d);
  }
  return count;
}

}  // namespace

Constant read_tensor(const onnx::TensorProto& tensor, const std::string& what, const ExternalData& external) {
  using Type = onnx::TensorProto;
  Constant out;
  const std::size_t count = read_dims(tensor, what, out.dims);
  const bool outside = tensor.data_location() == Type::EXTERNAL || tensor.external_data_size() > 0;
  const std::string bytes = outside ? external.read(tensor, what) : std::string();
  const Elements elements(outside ? bytes : tensor.raw_data(), count, what);
  const auto plain = [](auto v) { return static_cast<double>(v); };
  switch (tensor.data_type()) {
    case Type::FLOAT:
      elements.to<float>(out.reals, tensor.float_data(), plain);
      break;
    case Type::DOUBLE:
      elements.to<double>(out.reals, tensor.double_data(), plain);
      break;
    case Type::FLOAT16:
      elements.to<std::uint16_t>(out.reals, tensor.int32_data(), half_to_double);
      break;
    case Type::BFLOAT16:
      elements.to<std::uint16_t>(out.reals, tensor.int32_data(), bfloat_to_double);
      break;
    case Type::INT64:
      out.integral = true;
      if (count > kMaxIntegers) throw Error(ErrorCode::bad_input, what + ": too many integers; weights must be float");
      elements.to<std::int64_t>(out.integers, tensor.int64_data(), [](std::int64_t v) { return Integer(v); });
      break;
    case Type::INT32:
      elements.integers<std::int32_t>(tensor, out);
      break;
    case Type::INT16:
      elements.integers<std::int16_t>(tensor, out);
      break;
    case Type::INT8:
      elements.integers<std::int8_t>(tensor, out);
      break;
    case Type::UINT16:
      elements.integers<std::uint16_t>(tensor, out);
      break;
    case Type::UINT8:
      elements.integers<std::uint8_t>(tensor, out);
      break;
    case Type::BOOL:
      elements.integers<std::uint8_t>(tensor, out);
      break;
    default:
      throw Error(ErrorCode::bad_input,
                  what + ": tensor type " + std::to_string(tensor.data_type()) + " is not supported; use float");
  }
  for (const double v : out.reals)
    if (!std::isfinite(v)) throw Error(ErrorCode::bad_input, what + ": a value is not a finite number");
  return out;
}

}  // namespace sotto::graph
