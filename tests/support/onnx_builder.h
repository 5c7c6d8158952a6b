#pragma once

#include <onnx/onnx_pb.h>

#include <string>
#include <vector>

#include "graph/onnx_import.h"
#include "support/files.h"

namespace sotto::test {

/// Writes ONNX models, also such as no exporter would write. Input "x", output "y".
struct OnnxBuilder {
  onnx::ModelProto model;
  TempFolder folder;

  explicit OnnxBuilder(const std::vector<std::int64_t>& input = {-1, 2, 4, 4}, std::int64_t opset = 13) {
    model.set_ir_version(8);
    model.add_opset_import()->set_version(opset);
    graph().set_name("test");
    add_input("x", input);
    graph().add_output()->set_name("y");
  }

  onnx::GraphProto& graph() { return *model.mutable_graph(); }

  /// A negative dimension is dynamic.
  void add_input(const std::string& name, const std::vector<std::int64_t>& dims) {
    auto* input = graph().add_input();
    input->set_name(name);
    auto* type = input->mutable_type()->mutable_tensor_type();
    type->set_elem_type(onnx::TensorProto::FLOAT);
    for (std::int64_t d : dims) {
      auto* dim = type->mutable_shape()->add_dim();
      d < 0 ? dim->set_dim_param("n") : dim->set_dim_value(d);
    }
  }

  onnx::NodeProto& node(const std::string& op, const std::vector<std::string>& inputs, const std::string& output) {
    auto* n = graph().add_node();
    n->set_op_type(op);
    n->set_name(op + "_" + output);
    for (const auto& i : inputs) n->add_input(i);
    n->add_output(output);
    return *n;
  }

  onnx::TensorProto& constant(const std::string& name, const std::vector<std::int64_t>& dims,
                              const std::vector<float>& values) {
    auto* t = graph().add_initializer();
    t->set_name(name);
    t->set_data_type(onnx::TensorProto::FLOAT);
    for (auto d : dims) t->add_dims(d);
    for (float v : values) t->add_float_data(v);
    return *t;
  }
  onnx::TensorProto& integers(const std::string& name, const std::vector<std::int64_t>& values) {
    auto* t = graph().add_initializer();
    t->set_name(name);
    t->set_data_type(onnx::TensorProto::INT64);
    t->add_dims(static_cast<std::int64_t>(values.size()));
    for (auto v : values) t->add_int64_data(v);
    return *t;
  }
  /// A constant of this shape, all ones.
  onnx::TensorProto& ones(const std::string& name, const std::vector<std::int64_t>& dims) {
    std::size_t count = 1;
    for (auto d : dims) count *= static_cast<std::size_t>(d);
    return constant(name, dims, std::vector<float>(count, 1.0f));
  }

  static void set(onnx::NodeProto& n, const std::string& name, std::int64_t value) {
    auto* a = n.add_attribute();
    a->set_name(name);
    a->set_type(onnx::AttributeProto::INT);
    a->set_i(value);
  }
  static void set(onnx::NodeProto& n, const std::string& name, const std::string& value) {
    auto* a = n.add_attribute();
    a->set_name(name);
    a->set_type(onnx::AttributeProto::STRING);
    a->set_s(value);
  }
  static void set(onnx::NodeProto& n, const std::string& name, const std::vector<std::int64_t>& values) {
    auto* a = n.add_attribute();
    a->set_name(name);
    a->set_type(onnx::AttributeProto::INTS);
    for (auto v : values) a->add_ints(v);
  }
  void metadata(const std::string& key, const std::string& value) {
    auto* p = model.add_metadata_props();
    p->set_key(key);
    p->set_value(value);
  }

  graph::Network import() const {
    const auto path = folder / "model.onnx";
    write_text(path, model.SerializeAsString());
    return graph::import_onnx(path);
  }
};

}  // namespace sotto::test
