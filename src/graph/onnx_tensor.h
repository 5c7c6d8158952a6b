#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace onnx {
class TensorProto;
}

namespace sotto::graph {

/// A constant tensor as doubles.
struct Constant {
  std::vector<std::int64_t> dims;
  std::vector<double> values;
};

/// Values of an ONNX tensor of type float, double, float16, int32 or int64. Throws Error{bad_input} naming `what` for
/// other types, external data, sizes that do not match the shape, and values that are not finite.
Constant read_tensor(const onnx::TensorProto& tensor, const std::string& what);

}  // namespace sotto::graph
