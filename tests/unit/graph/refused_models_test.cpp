// Models that cannot be imported: one line that names the file, the node and its operator.
#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "support/onnx_builder.h"

namespace sotto::graph {
namespace {

using test::OnnxBuilder;
using test::refuses;
using Dims = std::vector<std::int64_t>;

TEST(RefusedModels, OperatorsByName) {
  for (const char* op : {"LpPool", "LayerNormalization", "Softmax", "TopK", "LSTM", "NoSuchOperator", ""}) {
    OnnxBuilder m;
    m.node(op, {"x"}, "a").set_name("the node");
    m.node("Flatten", {"a"}, "y");
    EXPECT_TRUE(refuses([&] { m.import(); }, {"model.onnx", "'the node'", std::string("(") + op + ")"})) << op;
  }
  OnnxBuilder m;
  m.node("Flatten", {"x"}, "y").set_domain("com.example");
  EXPECT_TRUE(refuses([&] { m.import(); }, {"Flatten_y", "com.example"}));
}

TEST(RefusedModels, WhatToUseInstead) {
  const std::pair<const char*, const char*> cases[] = {{"LpPool", "replace it with AveragePool and retrain"},
                                                       {"GlobalLpPool", "GlobalAveragePool"},
                                                       {"ThresholdedRelu", "no polynomial follows a jump"},
                                                       {"Shrink", "no polynomial follows a jump"},
                                                       {"Sqrt", "use an activation"},
                                                       {"LayerNormalization", "BatchNormalization"},
                                                       {"Softmax", "export the model without it"},
                                                       {"Resize", "before they are encrypted"},
                                                       {"QLinearConv", "in float"},
                                                       {"Loop", "tracing"},
                                                       {"Relux", "this operator is not supported"}};
  for (const auto& [op, words] : cases) {
    OnnxBuilder m;
    m.node(op, {"x"}, "a");
    m.node("Flatten", {"a"}, "y");
    EXPECT_TRUE(refuses([&] { m.import(); }, {std::string(op) + "_a", words})) << op;
  }
}

// Eight functions, each of which calls the next eight times: 2^24 copies of the last one's constant of 64 KB.
TEST(RefusedModels, FunctionsThatMultiplyTheirConstants) {
  OnnxBuilder m;
  m.model.set_ir_version(9);
  const auto name = [](int level) { return "f" + std::to_string(level); };
  for (int level = 0; level < 9; ++level) {
    auto* f = m.model.add_functions();
    f->set_name(name(level));
    f->set_domain("local");
    f->add_input("a");
    f->add_output("b");
    for (int k = 0; k < (level < 8 ? 8 : 1); ++k) {
      auto* n = f->add_node();
      n->set_op_type(level < 8 ? name(level + 1) : "Constant");
      n->set_domain(level < 8 ? "local" : "");
      if (level < 8) n->add_input("a");
      n->add_output(k == 0 ? "b" : "unused" + std::to_string(k));
      if (level < 8) continue;
      auto* value = n->add_attribute();
      value->set_name("value");
      value->set_type(onnx::AttributeProto::TENSOR);
      value->mutable_t()->set_data_type(onnx::TensorProto::UINT8);
      value->mutable_t()->add_dims(1 << 16);
      value->mutable_t()->set_raw_data(std::string(1 << 16, 'x'));
    }
  }
  m.model.add_opset_import()->set_version(1);
  m.model.mutable_opset_import(1)->set_domain("local");
  m.node(name(0), {"x"}, "y").set_domain("local");
  EXPECT_TRUE(refuses([&] { m.import(); }, {"model.onnx", "functions", "too large"}));
}

TEST(RefusedModels, InputsThatAreNotThere) {
  OnnxBuilder m;
  m.node("Conv", {"x", "weights"}, "c");
  m.node("Flatten", {"c"}, "y");
  EXPECT_TRUE(refuses([&] { m.import(); }, {"Conv_c", "(Conv)"})) << "no such initializer";
  for (const char* op : {"Conv",        "BatchNormalization",
                         "Add",         "Pow",
                         "Neg",         "Relu",
                         "Sigmoid",     "Clip",
                         "Max",         "PRelu",
                         "AveragePool", "GlobalAveragePool",
                         "ReduceMean",  "Flatten",
                         "Reshape",     "Squeeze",
                         "Gemm",        "MatMul",
                         "Identity",    "Dropout",
                         "Cast"}) {
    OnnxBuilder none, unknown;
    none.node(op, {}, "y");
    EXPECT_TRUE(refuses([&] { none.import(); }, {std::string(op) + "_y"})) << op;
    unknown.node(op, {"nobody", "nobody"}, "y");
    EXPECT_TRUE(refuses([&] { unknown.import(); }, {std::string(op) + "_y"})) << op;
  }
}

TEST(RefusedModels, UnsortedAndCyclicGraphs) {
  OnnxBuilder unsorted;
  unsorted.node("Flatten", {"a"}, "y");
  unsorted.node("Neg", {"x"}, "a");
  EXPECT_TRUE(refuses([&] { unsorted.import(); }, {"Flatten_y", "'a'", "before"}));
  OnnxBuilder cyclic;
  cyclic.node("Add", {"x", "b"}, "a");
  cyclic.node("Neg", {"a"}, "b");
  cyclic.node("Flatten", {"b"}, "y");
  EXPECT_TRUE(refuses([&] { cyclic.import(); }, {"Add_a"}));
  OnnxBuilder self;
  self.node("Add", {"x", "y"}, "y");
  EXPECT_TRUE(refuses([&] { self.import(); }, {"Add_y"}));
}

TEST(RefusedModels, ValuesDefinedTwice) {
  OnnxBuilder again;
  again.node("Neg", {"x"}, "a");
  again.node("Neg", {"x"}, "a");
  again.node("Flatten", {"a"}, "y");
  EXPECT_TRUE(refuses([&] { again.import(); }, {"'a'", "twice"}));
  OnnxBuilder input;
  input.node("Neg", {"x"}, "x");
  input.node("Flatten", {"x"}, "y");
  EXPECT_TRUE(refuses([&] { input.import(); }, {"'x'", "twice"}));
  OnnxBuilder constant;
  constant.constant("k", {}, {1});
  constant.node("Neg", {"x"}, "k");
  constant.node("Flatten", {"k"}, "y");
  EXPECT_TRUE(refuses([&] { constant.import(); }, {"'k'", "twice"}));
}

TEST(RefusedModels, InputsOfTheModel) {
  struct {
    Dims dims;
    const char* word;
  } const cases[] = {{{1, 2, -1, 4}, "fixed"},
                     {{1, 2, 4, -1}, "fixed"},
                     {{1, -1, 4, 4}, "fixed"},
                     {{1, 2, 0, 4}, "fixed"},
                     {{1, 2, 4, 1 << 20}, "fixed"},
                     {{1, -1}, "fixed"},
                     {{1, 70000}, "fixed"},
                     {{0, 2, 4, 4}, "no images"},
                     {{32}, "[batch, channels, height, width]"},
                     {{1, 2, 4, 4, 4}, "[batch, channels, height, width]"},
                     {{}, "[batch, channels, height, width]"}};
  for (const auto& c : cases) {
    OnnxBuilder m(c.dims);
    m.node("Flatten", {"x"}, "y");
    EXPECT_TRUE(refuses([&] { m.import(); }, {"'x'", c.word})) << c.word;
  }
  OnnxBuilder two;
  two.add_input("second", {1, 2, 4, 2});
  two.node("Flatten", {"x"}, "y");
  EXPECT_TRUE(refuses([&] { two.import(); }, {"'x'", "'second'"}));
  OnnxBuilder none;
  none.graph().clear_input();
  EXPECT_TRUE(refuses([&] { none.import(); }, {"no input"}));
}

TEST(RefusedModels, InputsThatAreNoPixels) {
  for (const auto type : {onnx::TensorProto::INT8, onnx::TensorProto::BOOL, onnx::TensorProto::STRING,
                          onnx::TensorProto::COMPLEX64, onnx::TensorProto::UNDEFINED}) {
    OnnxBuilder m;
    m.graph().mutable_input(0)->mutable_type()->mutable_tensor_type()->set_elem_type(type);
    m.node("Flatten", {"x"}, "y");
    EXPECT_TRUE(refuses([&] { m.import(); }, {"'x'", "floats or bytes"})) << type;
  }
}

TEST(RefusedModels, OutputsOfTheModel) {
  OnnxBuilder missing;
  missing.node("Flatten", {"x"}, "z");
  EXPECT_TRUE(refuses([&] { missing.import(); }, {"'y'"}));
  OnnxBuilder two;
  two.node("Flatten", {"x"}, "y");
  two.graph().add_output()->set_name("features");
  EXPECT_TRUE(refuses([&] { two.import(); }, {"one output", "'y', 'features'"}));
  OnnxBuilder input({1, 2, 1, 1});
  input.graph().mutable_output(0)->set_name("x");
  EXPECT_TRUE(refuses([&] { input.import(); }, {"output"}));
  OnnxBuilder map;
  map.node("Neg", {"x"}, "y");
  EXPECT_TRUE(refuses([&] { map.import(); }, {"vector of scores", "[batch, 2, 4, 4]"}));
}

TEST(RefusedModels, OperatorSets) {
  for (std::int64_t opset : {1, 8, 10}) {
    OnnxBuilder m({1, 2, 4, 4}, opset);
    m.node("Flatten", {"x"}, "y");
    EXPECT_TRUE(refuses([&] { m.import(); }, {"opset " + std::to_string(opset), "opset 11"}));
  }
  for (std::int64_t opset : {11, 22, 30}) {
    OnnxBuilder m({1, 2, 4, 4}, opset);
    m.node("Flatten", {"x"}, "y");
    EXPECT_NO_THROW(m.import()) << opset;
  }
  OnnxBuilder none;
  none.model.clear_opset_import();
  EXPECT_TRUE(refuses([&] { none.import(); }, {"operator set"}));
}

}  // namespace
}  // namespace sotto::graph
