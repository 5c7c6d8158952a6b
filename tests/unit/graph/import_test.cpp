// Details of the import that no exporter of the golden models shows.
#include <gtest/gtest.h>

#include <cstring>

#include "graph/interpreter.h"
#include "support/expect_error.h"
#include "support/onnx_builder.h"
#include "support/values.h"

namespace sotto::graph {
namespace {

using test::OnnxBuilder;
using Values = std::vector<double>;

// A model that is its flattened input times a constant.
OnnxBuilder& scaled(OnnxBuilder& m) {
  m.node("Mul", {"x", "k"}, "m");
  m.node("Flatten", {"m"}, "y");
  return m;
}

TEST(Import, MetadataOfChannelsAndClasses) {
  OnnxBuilder m({1, 2, 1, 1});
  m.constant("k", {}, {1});
  scaled(m);
  m.metadata("author", "somebody");
  m.metadata("sotto.mean", " 0.5 ,\t-1e-1");
  m.metadata("sotto.std", "2,0.25");
  m.metadata("sotto.classes", "cat, big dog ");
  const Network n = m.import();
  EXPECT_EQ(n.mean, (Values{0.5, -0.1}));
  EXPECT_EQ(n.std, (Values{2, 0.25}));
  EXPECT_EQ(n.classes, (std::vector<std::string>{"cat", "big dog"}));
  EXPECT_EQ(n.name, "model.onnx");
}

// ONNX broadcasts the third operand of Gemm: a number, or one number in a list, serves all outputs.
TEST(Import, OneBiasForAllOutputsOfGemm) {
  for (const std::vector<std::int64_t>& shape : {std::vector<std::int64_t>{}, {1}, {1, 1}}) {
    OnnxBuilder m({1, 2, 1, 1});
    m.node("Flatten", {"x"}, "f");
    m.constant("w", {2, 3}, {1, 0, 0, 0, 1, 0});
    m.constant("b", shape, {0.5});
    m.node("Gemm", {"f", "w", "b"}, "y");
    EXPECT_EQ(evaluate(m.import(), Values{2, 3}), (Values{2.5, 3.5, 0.5}));
  }
}

TEST(Import, WithoutMetadataPixelsAreOnlyDividedBy255) {
  OnnxBuilder m;
  m.constant("k", {}, {1});
  const Network n = scaled(m).import();
  EXPECT_EQ(n.mean, (Values{0, 0}));
  EXPECT_EQ(n.std, (Values{1, 1}));
  EXPECT_TRUE(n.classes.empty());
}

// Thousands of nodes in a small file neither take memory for each, nor ask for that of a data centre.
TEST(Import, ManyNodesOnLargePictures) {
  const auto import = [](const char* op) {
    OnnxBuilder m({1, 3, 188, 188});
    std::string last = "x";
    for (int k = 0; k < 10000; ++k) {
      const std::string next = "v" + std::to_string(k);
      m.node(op, {last}, next);
      last = next;
    }
    m.node("GlobalAveragePool", {last}, "g");
    m.node("Flatten", {"g"}, "y");
    return m.import();
  };
  EXPECT_LE(import("Identity").nodes.size(), 4u);
  EXPECT_TRUE(test::refuses([&] { (void)import("Neg"); }, {"2^28", "smaller pictures"}));
}

TEST(Import, SeveralInputsAreChannelsOfOnePicture) {
  OnnxBuilder m({-1, 1, 2, 2});
  m.add_input("z", {-1, 2, 2, 2});
  m.node("GlobalAveragePool", {"z"}, "g");
  m.node("Mul", {"g", "x"}, "a");
  m.node("Flatten", {"a"}, "y");
  const Network n = m.import();
  EXPECT_EQ(n.input_shape(), (Shape{3, 2, 2}));
  EXPECT_EQ(n.mean.size(), 3u);
  ASSERT_FALSE(n.notes.empty());
  EXPECT_NE(n.notes.front().find("3 channels, in this order: 'x' (1), 'z' (2)"), std::string::npos) << n.notes.front();
  EXPECT_EQ(evaluate(n, Values{1, 2, 3, 4, 1, 1, 1, 1, 0, 2, 4, 6}), (Values{1, 2, 3, 4, 3, 6, 9, 12}));
}

TEST(Import, SeveralInputsMustFitEachOther) {
  for (const auto& [dims, word] : {std::pair(std::vector<std::int64_t>{-1, 1, 4, 2}, "differ in height or width"),
                                   std::pair(std::vector<std::int64_t>{-1, 4}, "differ in height or width")}) {
    OnnxBuilder m({-1, 1, 2, 2});
    m.add_input("z", dims);
    m.node("Flatten", {"x"}, "y");
    EXPECT_TRUE(test::fails_with([&] { (void)m.import(); }, ErrorCode::bad_input, {"'x'", "'z'", word}));
  }
}

TEST(Import, RangesOfRelusByOutputOrNode) {
  OnnxBuilder m({1, 2, 1, 1});
  m.node("Relu", {"x"}, "a");
  m.node("Relu", {"a"}, "b");
  m.node("Relu", {"b"}, "c").clear_name();
  m.node("Relu", {"c"}, "d");
  m.node("Flatten", {"d"}, "y");
  m.metadata("sotto.relu_ranges", R"({"a": 2.5, "Relu_b": 3, "c": 1e-3})");
  const Network n = m.import();
  const double expected[] = {2.5, 3, 1e-3, 0};
  for (std::size_t k = 0; k < 4; ++k) EXPECT_EQ(std::get<Function>(n.nodes[k + 1].op).range, expected[k]) << k;
  EXPECT_EQ(n.nodes[1].shape, (Shape{2, 1, 1}));
}

TEST(Import, AReluOutputsNameCountsMoreThanItsNodes) {
  OnnxBuilder m({1, 2, 1, 1});
  m.node("Relu", {"x"}, "a");
  m.node("Flatten", {"a"}, "y");
  m.metadata("sotto.relu_ranges", R"({"a": 2, "Relu_a": 1})");
  EXPECT_EQ(std::get<Function>(m.import().nodes[1].op).range, 2);
}

TEST(Import, EveryKindOfTensorData) {
  const Values expected = {1.5, -2};
  const auto product = [](OnnxBuilder& m) { return evaluate(scaled(m).import(), Values{1, 1}); };
  const std::vector<std::int64_t> shape = {-1, 2, 1, 1};
  {
    OnnxBuilder m(shape);
    m.constant("k", {2, 1, 1}, {1.5, -2});
    EXPECT_EQ(product(m), expected) << "typed floats";
  }
  {
    OnnxBuilder m(shape);
    const float raw[] = {1.5, -2};
    auto& t = m.constant("k", {2, 1, 1}, {});
    t.set_raw_data(raw, sizeof raw);
    EXPECT_EQ(product(m), expected) << "raw floats";
  }
  {
    OnnxBuilder m(shape);
    auto& t = m.constant("k", {2, 1, 1}, {});
    t.set_data_type(onnx::TensorProto::DOUBLE);
    t.add_double_data(0.1);
    t.add_double_data(-2);
    EXPECT_EQ(product(m), (Values{0.1, -2})) << "doubles keep all their digits";
  }
  for (const auto type : {onnx::TensorProto::INT32, onnx::TensorProto::INT64}) {
    OnnxBuilder m(shape);
    auto& t = m.constant("k", {2, 1, 1}, {});
    t.set_data_type(type);
    for (int v : {7, -2}) type == onnx::TensorProto::INT32 ? t.add_int32_data(v) : t.add_int64_data(v);
    EXPECT_EQ(product(m), (Values{7, -2})) << type;
  }
}

TEST(Import, HalfPrecisionNumbersOfEveryKind) {
  struct {
    std::uint16_t bits;
    double value;
  } const cases[] = {
      {0x0000, 0},     {0x8000, -0.0},   {0x3c00, 1},       {0xc000, -2},      {0x3555, 0.333251953125},
      {0x7bff, 65504}, {0xfbff, -65504}, {0x0400, 0x1p-14}, {0x0001, 0x1p-24}, {0x83ff, -1023 * 0x1p-24}};
  const auto count = static_cast<std::int64_t>(std::size(cases));
  for (const bool raw : {true, false}) {
    OnnxBuilder m({1, count, 1, 1});
    auto& t = m.constant("k", {count, 1, 1}, {});
    t.set_data_type(onnx::TensorProto::FLOAT16);
    std::string bytes;
    for (const auto& c : cases) {
      bytes += {static_cast<char>(c.bits & 255), static_cast<char>(c.bits >> 8)};
      if (!raw) t.add_int32_data(c.bits);
    }
    if (raw) t.set_raw_data(bytes);
    const Values y = evaluate(scaled(m).import(), Values(static_cast<std::size_t>(count), 1.0));
    for (std::size_t i = 0; i < y.size(); ++i)
      EXPECT_EQ(y[i], cases[i].value) << std::hex << cases[i].bits << (raw ? " raw" : " typed");
  }
}

TEST(Import, InitializersThatAreListedAsInputs) {
  OnnxBuilder m;
  m.constant("k", {}, {2});
  m.add_input("k", {});
  EXPECT_EQ(scaled(m).import().input_shape(), (Shape{2, 4, 4}));
}

TEST(Import, WhatFollowsTheOutputIsDropped) {
  OnnxBuilder m;
  m.constant("k", {}, {2});
  scaled(m);
  const std::size_t nodes = m.import().nodes.size();
  m.node("Neg", {"y"}, "unused");
  EXPECT_EQ(m.import().nodes.size(), nodes);
}

TEST(Import, WhatDoesNotLeadToTheOutputIsDropped) {
  OnnxBuilder m;
  m.constant("k", {}, {2});
  m.node("Neg", {"x"}, "unused");
  scaled(m);
  const Network n = m.import();
  for (const Node& node : n.nodes) EXPECT_NE(node.name, "Neg_unused");
}

TEST(Import, NodesWithoutANameAreCalledByTheirOutput) {
  OnnxBuilder m;
  m.constant("k", {}, {2});
  m.node("Mul", {"x", "k"}, "product").clear_name();
  m.node("Flatten", {"product"}, "y").clear_name();
  const Network n = m.import();
  EXPECT_EQ(n.nodes[1].name, "product");
  EXPECT_EQ(n.nodes[2].name, "y");
}

TEST(Import, OptionalInputsAndOutputsMayBeEmpty) {
  OnnxBuilder m;
  m.ones("w", {3, 2, 1, 1});
  m.node("Conv", {"x", "w", ""}, "c");
  m.node("Dropout", {"c"}, "d").add_output("");
  m.node("Flatten", {"d"}, "y");
  EXPECT_EQ(m.import().output_shape(), (Shape{48, 1, 1}));
}

TEST(Import, TheOperatorSetOfOtherDomainsDoesNotCount) {
  OnnxBuilder m;
  m.constant("k", {}, {2});
  m.model.clear_opset_import();
  auto* other = m.model.add_opset_import();
  other->set_domain("com.example");
  other->set_version(1);
  auto* onnx = m.model.add_opset_import();
  onnx->set_domain("ai.onnx");
  onnx->set_version(17);
  EXPECT_NO_THROW(scaled(m).import());
}

TEST(Import, ShapesOfConvolutions) {
  OnnxBuilder m({1, 2, 9, 7});
  m.ones("w", {3, 2, 3, 2});
  auto& conv = m.node("Conv", {"x", "w"}, "c");
  OnnxBuilder::set(conv, "strides", std::vector<std::int64_t>{2, 3});
  OnnxBuilder::set(conv, "dilations", std::vector<std::int64_t>{2, 1});
  OnnxBuilder::set(conv, "pads", std::vector<std::int64_t>{1, 0, 0, 1});
  m.node("Flatten", {"c"}, "y");
  // (9 + 1 - 5) / 2 + 1 and (7 + 1 - 2) / 3 + 1.
  EXPECT_EQ(m.import().nodes[1].shape, (Shape{3, 3, 3}));
}

}  // namespace
}  // namespace sotto::graph
