#pragma once

#include <onnx/onnx_pb.h>

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "graph/onnx_tensor.h"

namespace sotto::graph {

/// The constants of a graph that is being changed: stored tensors, and what nodes compute from them.
class OnnxConstants {
 public:
  /// The graph must outlive it.
  explicit OnnxConstants(onnx::GraphProto& graph) : graph_(graph) {}

  /// Whether a value is constant.
  [[nodiscard]] bool knows(const std::string& name) const;
  /// Whether a constant holds float32, judged by the tensors that it is made of.
  [[nodiscard]] bool is_float(const std::string& name) const;
  /// Axes of a stored tensor.
  [[nodiscard]] std::optional<std::size_t> rank(const std::string& name) const;
  /// The tensors that a constant is made of: itself, or what nodes compute it from, but for single numbers and shapes.
  /// Nothing for a value that is not constant.
  [[nodiscard]] std::set<std::string> tensors_of(const std::string& name) const;

  /// Stores a tensor and returns its name: the same, if nobody else reads that value; it is dropped then with
  /// everything that only it needed. Else a name that is not in use.
  std::string replace(const std::string& name, const Dims& dims, const std::vector<float>& values);
  /// The name itself if nothing in the graph has it, else one like it.
  [[nodiscard]] std::string unused(const std::string& name) const;
  /// Index of a node of the graph.
  [[nodiscard]] int position(const onnx::NodeProto& node) const;

 private:
  [[nodiscard]] const onnx::TensorProto* stored(const std::string& name) const;
  [[nodiscard]] const onnx::NodeProto* maker(const std::string& name) const;
  [[nodiscard]] bool is_read(const std::string& name) const;
  void drop(const std::string& name);

  onnx::GraphProto& graph_;
};

}  // namespace sotto::graph
