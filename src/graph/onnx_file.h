#pragma once

#include <onnx/onnx_pb.h>

#include <cstdint>
#include <filesystem>
#include <string>

#include "sotto/io.h"

namespace sotto::graph {

/// Reads an ONNX file. Throws Error{bad_input} without the source's name.
onnx::ModelProto read_model(const Source& source);

/// Reads the tensors that a model keeps in files beside itself.
class ExternalData {
 public:
  explicit ExternalData(const std::filesystem::path& model) : folder_(model.parent_path()) {}
  /// Those of a file; a model in memory may have none.
  explicit ExternalData(const Source& model) : allowed_(model.path() != nullptr) {
    if (allowed_) folder_ = model.path()->parent_path();
  }

  /// The bytes of a tensor: `length` bytes from `offset` of the file `location`, a plain name in the model's folder.
  /// Throws Error{bad_input} naming `what` for other places and for bytes that are not there.
  [[nodiscard]] std::string read(const onnx::TensorProto& tensor, const std::string& what) const;

 private:
  std::filesystem::path folder_;
  bool allowed_ = true;
};

}  // namespace sotto::graph
