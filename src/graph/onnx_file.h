#pragma once

#include <onnx/onnx_pb.h>

#include <cstdint>
#include <filesystem>
#include <string>

namespace sotto::graph {

/// Reads an ONNX file. Throws Error{bad_input} without the file's name.
onnx::ModelProto read_model(const std::filesystem::path& path);

/// Reads the tensors that a model keeps in files beside itself.
class ExternalData {
 public:
  explicit ExternalData(const std::filesystem::path& model) : folder_(model.parent_path()) {}

  /// The bytes of a tensor: `length` bytes from `offset` of the file `location`, a plain name in the model's folder.
  /// Throws Error{bad_input} naming `what` for other places and for bytes that are not there.
  [[nodiscard]] std::string read(const onnx::TensorProto& tensor, const std::string& what) const;

 private:
  std::filesystem::path folder_;
};

}  // namespace sotto::graph
