#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace onnx {
class TensorProto;
}

namespace sotto::graph {

class ExternalData;

/// Sizes of a tensor along its axes.
using Dims = std::vector<std::int64_t>;

/// An integer that is known at import; nullopt is the batch size of a model that leaves it free.
using Integer = std::optional<std::int64_t>;

/// A tensor that is known at import, row-major: reals, or integers and truth values (0 and 1).
struct Constant {
  Dims dims;
  bool integral = false;          ///< which of the two holds the elements
  std::vector<double> reals;      ///< finite
  std::vector<Integer> integers;  ///< of shapes, axes, indices, conditions

  [[nodiscard]] std::size_t size() const { return integral ? integers.size() : reals.size(); }
};

/// The elements of an ONNX tensor of a real, integer or truth type; those in other files come from `external`. Throws
/// Error{bad_input} naming `what` for other types, sizes that do not match the shape, and values that are not finite.
Constant read_tensor(const onnx::TensorProto& tensor, const std::string& what, const ExternalData& external);

}  // namespace sotto::graph
