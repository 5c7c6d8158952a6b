#pragma once

#include <onnx/onnx_pb.h>

#include <optional>
#include <string>

#include "graph/onnx_tensor.h"

namespace sotto::graph {

/// One node of an ONNX graph: attributes with their defaults, and errors that name it. The graph must outlive it.
class OnnxNode {
 public:
  OnnxNode(const onnx::NodeProto& proto, std::int64_t opset) : proto_(proto), opset_(opset) {}

  [[nodiscard]] const onnx::NodeProto& proto() const { return proto_; }
  [[nodiscard]] const std::string& op() const { return proto_.op_type(); }
  [[nodiscard]] std::int64_t opset() const { return opset_; }
  /// For messages; a node without a name is called by its output.
  [[nodiscard]] std::string name() const;

  [[nodiscard]] int inputs() const { return proto_.input_size(); }
  /// Whether input i is given: optional ones may be left out or empty.
  [[nodiscard]] bool has_input(int i) const { return i < proto_.input_size() && !proto_.input(i).empty(); }
  [[nodiscard]] const std::string& input(int i) const;
  [[nodiscard]] int outputs() const { return proto_.output_size(); }
  [[nodiscard]] const std::string& output(int i = 0) const;

  [[nodiscard]] std::int64_t integer(const std::string& attribute, std::int64_t otherwise) const;
  [[nodiscard]] double real(const std::string& attribute, double otherwise) const;
  [[nodiscard]] std::optional<Dims> integers(const std::string& attribute) const;
  [[nodiscard]] std::string text(const std::string& attribute, const std::string& otherwise) const;
  [[nodiscard]] const onnx::AttributeProto* attribute(const std::string& name) const;

  /// Throws Error{bad_input} that names node and operator.
  [[noreturn]] void fail(const std::string& message) const;

 private:
  const onnx::NodeProto& proto_;
  std::int64_t opset_;
};

/// An axis that may be counted from the back, as one of 0 .. rank - 1.
std::int64_t axis_of(const OnnxNode& n, std::int64_t axis, std::size_t rank);

}  // namespace sotto::graph
