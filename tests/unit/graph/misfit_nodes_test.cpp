// Nodes that do not fit their inputs, or have attributes that make no sense or are not supported.
#include <gtest/gtest.h>

#include <functional>

#include "support/expect_error.h"
#include "support/onnx_builder.h"

namespace sotto::graph {
namespace {

using test::OnnxBuilder;
using test::refuses;
using Dims = std::vector<std::int64_t>;

// One node that does not fit its inputs or attributes.
struct Misfit {
  const char* what;
  std::function<void(OnnxBuilder&)> build;
};

void conv(OnnxBuilder& m, const Dims& weights, const std::string& attribute = "", const Dims& values = {}) {
  m.ones("w", weights);
  auto& n = m.node("Conv", {"x", "w"}, "a");
  if (!attribute.empty()) OnnxBuilder::set(n, attribute, values);
}
void pool(OnnxBuilder& m, const Dims& kernel, const std::string& attribute = "", const Dims& values = {}) {
  auto& n = m.node("AveragePool", {"x"}, "a");
  OnnxBuilder::set(n, "kernel_shape", kernel);
  if (attribute == "ceil_mode")
    OnnxBuilder::set(n, attribute, values[0]);
  else if (!attribute.empty())
    OnnxBuilder::set(n, attribute, values);
}
void with_constant(OnnxBuilder& m, const std::string& op, const Dims& dims, bool first = false, float value = 1) {
  m.ones("k", dims);
  for (float& v : *m.graph().mutable_initializer(0)->mutable_float_data()) v = value;
  m.node(op, first ? std::vector<std::string>{"k", "x"} : std::vector<std::string>{"x", "k"}, "a");
}
void auto_pad(OnnxBuilder& m, const std::string& op, const char* mode) {
  op == "Conv" ? conv(m, {1, 2, 3, 3}) : pool(m, {3, 3});
  OnnxBuilder::set(*m.graph().mutable_node(0), "auto_pad", std::string(mode));
}

// The input is 2 x 4 x 4; node "OP_a" is at fault.
const Misfit kMisfits[] = {
    {"too many input channels",
     [](auto& m) {
       conv(m, {1, 3, 1, 1});
     }},
    {"weights of three dimensions",
     [](auto& m) {
       conv(m, {1, 2, 3});
     }},
    {"empty weights",
     [](auto& m) {
       conv(m, {0, 2, 1, 1});
     }},
    {"window larger than the image",
     [](auto& m) {
       conv(m, {1, 2, 5, 1});
     }},
    {"dilated window larger than the image",
     [](auto& m) {
       conv(m, {1, 2, 3, 3}, "dilations", {1, 2});
     }},
    {"stride 0",
     [](auto& m) {
       conv(m, {1, 2, 1, 1}, "strides", {0, 1});
     }},
    {"negative stride",
     [](auto& m) {
       conv(m, {1, 2, 1, 1}, "strides", {1, -1});
     }},
    {"huge stride",
     [](auto& m) {
       conv(m, {1, 2, 1, 1}, "strides", {std::int64_t{1} << 32, 1});
     }},
    {"dilation 0",
     [](auto& m) {
       conv(m, {1, 2, 1, 1}, "dilations", {0, 1});
     }},
    {"negative pads",
     [](auto& m) {
       conv(m, {1, 2, 1, 1}, "pads", {0, 0, -1, 0});
     }},
    {"two pads",
     [](auto& m) {
       conv(m, {1, 2, 1, 1}, "pads", {1, 1});
     }},
    {"one stride",
     [](auto& m) {
       conv(m, {1, 2, 1, 1}, "strides", {1});
     }},
    {"another kernel_shape",
     [](auto& m) {
       conv(m, {1, 2, 3, 3}, "kernel_shape", {3, 2});
     }},
    {"groups that do not divide",
     [](auto& m) {
       conv(m, {2, 2, 1, 1});
       OnnxBuilder::set(*m.graph().mutable_node(0), "group", 3);
     }},
    {"no groups",
     [](auto& m) {
       conv(m, {2, 2, 1, 1});
       OnnxBuilder::set(*m.graph().mutable_node(0), "group", 0);
     }},
    {"wrong bias",
     [](auto& m) {
       conv(m, {1, 2, 1, 1});
       m.ones("b", {2});
       m.graph().mutable_node(0)->add_input("b");
     }},
    {"weights that are computed",
     [](auto& m) {
       m.node("Conv", {"x", "x"}, "a");
     }},
    {"unknown automatic padding", [](auto& m) { auto_pad(m, "Conv", "SAME"); }},
    {"unknown automatic padding of pools", [](auto& m) { auto_pad(m, "AveragePool", "SAME"); }},
    {"pool without a kernel", [](auto& m) { m.node("AveragePool", {"x"}, "a"); }},
    {"pads as large as the kernel",
     [](auto& m) {
       pool(m, {2, 2}, "pads", {0, 2, 0, 0});
     }},
    {"dilated pool",
     [](auto& m) {
       pool(m, {2, 2}, "dilations", {1, 2});
     }},
    {"three-dimensional pool",
     [](auto& m) {
       pool(m, {2, 2, 2});
     }},
    {"factor per pixel",
     [](auto& m) {
       with_constant(m, "Mul", {2, 4, 4});
       m.graph().mutable_initializer(0)->set_float_data(5, 2);
     }},
    {"factor per column",
     [](auto& m) {
       with_constant(m, "Mul", {4});
       m.graph().mutable_initializer(0)->set_float_data(3, 2);
     }},
    {"constant that broadcasts over width", [](auto& m) { with_constant(m, "Mul", {2}); }},
    {"constant for more channels",
     [](auto& m) {
       with_constant(m, "Mul", {3, 1, 1});
     }},
    {"empty constant", [](auto& m) { with_constant(m, "Mul", {0}); }},
    {"division by zero", [](auto& m) { with_constant(m, "Div", {1}, false, 0); }},
    {"division by a value", [](auto& m) { with_constant(m, "Div", {1}, true); }},
    {"quotient of values",
     [](auto& m) {
       m.node("Div", {"x", "x"}, "a");
     }},
    {"sum of different shapes",
     [](auto& m) {
       OnnxBuilder::set(m.node("AveragePool", {"x"}, "g"), "kernel_shape", Dims{2, 2});
       m.node("Add", {"x", "g"}, "a");
     }},
    {"seventeenth power", [](auto& m) { with_constant(m, "Pow", {}, false, 17); }},
    {"square root", [](auto& m) { with_constant(m, "Pow", {}, false, 0.5); }},
    {"power of two numbers", [](auto& m) { with_constant(m, "Pow", {2}, false, 2); }},
    {"mean over channels",
     [](auto& m) {
       OnnxBuilder::set(m.node("ReduceMean", {"x"}, "a"), "axes", Dims{1, 2, 3});
     }},
    {"mean over everything", [](auto& m) { m.node("ReduceMean", {"x"}, "a"); }},
    {"flatten with the batch", [](auto& m) { OnnxBuilder::set(m.node("Flatten", {"x"}, "a"), "axis", 0); }},
    {"reshape to another size",
     [](auto& m) {
       m.integers("s", {0, 31});
       m.node("Reshape", {"x", "s"}, "a");
     }},
    {"dense layer on a map",
     [](auto& m) {
       m.ones("w", {2, 3});
       m.node("Gemm", {"x", "w"}, "a");
     }},
    {"cast to integers", [](auto& m) { OnnxBuilder::set(m.node("Cast", {"x"}, "a"), "to", onnx::TensorProto::INT32); }},
};

TEST(MisfitNodes, AreNamed) {
  for (const Misfit& misfit : kMisfits) {
    OnnxBuilder m;
    misfit.build(m);
    m.node("Flatten", {"a"}, "y");
    const auto& nodes = m.graph().node();
    EXPECT_TRUE(refuses([&] { m.import(); }, {"model.onnx", nodes[nodes.size() - 2].name()})) << misfit.what;
  }
}

}  // namespace
}  // namespace sotto::graph
