#include "graph/onnx_tensor.h"

#include <onnx/onnx_pb.h>

#include <cmath>
#include <cstring>

#include "base/error.h"

namespace sotto::graph {

namespace {

constexpr std::size_t kMaxElements = std::size_t{1} << 28;

double half_to_double(std::uint16_t h) {
  const int exponent = h >> 10 & 31, fraction = h & 1023;
  const double sign = h & 0x8000 ? -1.0 : 1.0;
  if (exponent == 31) return std::nan("");
  return exponent == 0 ? sign * std::ldexp(fraction, -24) : sign * std::ldexp(fraction + 1024, exponent - 25);
}

template <class T, class Typed, class Convert>
std::vector<double> values_of(const std::string& raw, const Typed& typed, std::size_t count, const std::string& what,
                              Convert convert) {
  std::vector<double> out;
  if (!raw.empty()) {
    if (raw.size() != count * sizeof(T)) throw Error(ErrorCode::bad_input, what + ": the data does not fit the shape");
    for (std::size_t i = 0; i < count; ++i) {
      T v;
      std::memcpy(&v, raw.data() + i * sizeof(T), sizeof(T));
      out.push_back(convert(v));
    }
    return out;
  }
  if (static_cast<std::size_t>(typed.size()) != count)
    throw Error(ErrorCode::bad_input, what + ": the data does not fit the shape");
  for (const auto v : typed) out.push_back(convert(static_cast<T>(v)));
  return out;
}

}  // namespace

Constant read_tensor(const onnx::TensorProto& tensor, const std::string& what) {
  if (tensor.data_location() == onnx::TensorProto::EXTERNAL || tensor.external_data_size() > 0)
    throw Error(ErrorCode::bad_input, what + ": data in external files is not supported; save the model as one file");
  Constant out;
  std::size_t count = 1;
  for (const std::int64_t d : tensor.dims()) {
    if (d < 0 || (d > 0 && count > kMaxElements / static_cast<std::size_t>(d)))
      throw Error(ErrorCode::bad_input, what + ": impossible tensor shape");
    count *= static_cast<std::size_t>(d);
    out.dims.push_back(d);
  }
  const auto plain = [](auto v) { return static_cast<double>(v); };
  switch (tensor.data_type()) {
    case onnx::TensorProto::FLOAT:
      out.values = values_of<float>(tensor.raw_data(), tensor.float_data(), count, what, plain);
      break;
    case onnx::TensorProto::DOUBLE:
      out.values = values_of<double>(tensor.raw_data(), tensor.double_data(), count, what, plain);
      break;
    case onnx::TensorProto::INT64:
      out.values = values_of<std::int64_t>(tensor.raw_data(), tensor.int64_data(), count, what, plain);
      break;
    case onnx::TensorProto::INT32:
      out.values = values_of<std::int32_t>(tensor.raw_data(), tensor.int32_data(), count, what, plain);
      break;
    case onnx::TensorProto::FLOAT16:
      out.values = values_of<std::uint16_t>(tensor.raw_data(), tensor.int32_data(), count, what, half_to_double);
      break;
    default:
      throw Error(ErrorCode::bad_input,
                  what + ": tensor type " + std::to_string(tensor.data_type()) + " is not supported; use float");
  }
  for (double v : out.values)
    if (!std::isfinite(v)) throw Error(ErrorCode::bad_input, what + ": a value is not a finite number");
  return out;
}

}  // namespace sotto::graph
