// Activations from ONNX: their values against those of ONNX Runtime, and the ways in which exporters write them.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "graph/calibrate.h"
#include "graph/interpreter.h"
#include "support/expect_error.h"
#include "support/onnx_builder.h"
#include "support/values.h"

namespace sotto::graph {
namespace {

using test::OnnxBuilder;
using Values = std::vector<double>;

const Values kPoints{-3.5, -0.75, 0, 0.5, 2.5, 9};

void set(onnx::NodeProto& n, const std::string& name, const std::string& value) {
  char* end = nullptr;
  const float number = std::strtof(value.c_str(), &end);
  if (*end != '\0') return OnnxBuilder::set(n, name, value);
  auto* a = n.add_attribute();
  a->set_name(name);
  a->set_type(onnx::AttributeProto::FLOAT);
  a->set_f(number);
}

// A model that ends with the value "a" of one image of six pixels.
OnnxBuilder model() { return OnnxBuilder({1, 1, 2, 3}, 20); }

Network imported(OnnxBuilder& m) {
  m.node("Flatten", {"a"}, "y");
  return m.import();
}

const Function* only_function(const Network& n) {
  const Function* found = nullptr;
  for (const Node& node : n.nodes) {
    const auto* f = std::get_if<Function>(&node.op);
    if (f != nullptr && found != nullptr) return nullptr;
    if (f != nullptr) found = f;
  }
  return found;
}

void expect_values(const Network& n, const Values& expected) {
  const Values y = evaluate(n, kPoints);
  ASSERT_EQ(y.size(), expected.size());
  for (std::size_t k = 0; k < y.size(); ++k) EXPECT_NEAR(y[k], expected[k], 2e-6) << kPoints[k];
}

TEST(Activations, ValuesOfOnnxRuntime) {
  const struct {
    const char* op;
    std::vector<std::pair<const char*, const char*>> attributes;
    Values values;
  } cases[] = {
      {"Relu", {}, {0, 0, 0, 0.5, 2.5, 9}},
      {"LeakyRelu", {}, {-0.035, -0.0075, 0, 0.5, 2.5, 9}},
      {"LeakyRelu", {{"alpha", "0.2"}}, {-0.7, -0.15, 0, 0.5, 2.5, 9}},
      {"Elu", {}, {-0.96980262, -0.52763343, 0, 0.5, 2.5, 9}},
      {"Elu", {{"alpha", "0.5"}}, {-0.48490131, -0.26381671, 0, 0.5, 2.5, 9}},
      {"Selu", {}, {-1.7050093, -0.92763197, 0, 0.52535051, 2.6267526, 9.4563093}},
      {"Celu", {}, {-0.96980262, -0.52763343, 0, 0.5, 2.5, 9}},
      {"Celu", {{"alpha", "2.0"}}, {-1.6524521, -0.6254214, 0, 0.5, 2.5, 9}},
      {"Softplus", {}, {0.029750422, 0.38687098, 0.69314718, 0.97407699, 2.5788898, 9.000123}},
      {"Softsign", {}, {-0.77777779, -0.42857146, 0, 0.33333334, 0.71428573, 0.9}},
      {"Sigmoid", {}, {0.029312193, 0.32082132, 0.5, 0.62245929, 0.92414182, 0.99987662}},
      {"HardSigmoid", {}, {0, 0.35, 0.5, 0.6, 1, 1}},
      {"HardSigmoid", {{"alpha", "0.25"}, {"beta", "0.75"}}, {0, 0.5625, 0.75, 0.875, 1, 1}},
      {"HardSwish", {}, {0, -0.28125, 0, 0.29166666, 2.2916667, 9}},
      {"Gelu", {}, {-0.00081422925, -0.16997051, 0, 0.34573123, 2.4844761, 9}},
      {"Gelu", {{"approximate", "none"}}, {-0.00081422925, -0.16997051, 0, 0.34573123, 2.4844761, 9}},
      {"Gelu", {{"approximate", "tanh"}}, {-0.00061614811, -0.17003945, 0, 0.345714, 2.4849157, 9}},
      {"Tanh", {}, {-0.99817795, -0.635149, 0, 0.46211717, 0.98661435, 1}},
      {"Mish", {}, {-0.10409575, -0.27649471, 0, 0.37524524, 2.4713924, 9}},
      {"Swish", {}, {-0.10259268, -0.24061599, 0, 0.31122965, 2.3103546, 8.9988896}},
      {"Swish", {{"alpha", "2.0"}}, {-0.0031882, -0.13681914, 0, 0.36552929, 2.4832678, 8.9999999}},
      {"Erf", {}, {-0.99999928, -0.71115565, 0, 0.52049989, 0.99959308, 1}},
      {"Abs", {}, {3.5, 0.75, 0, 0.5, 2.5, 9}},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.op);
    OnnxBuilder m = model();
    auto& n = m.node(c.op, {"x"}, "a");
    for (const auto& [name, value] : c.attributes) set(n, name, value);
    const Network network = imported(m);
    ASSERT_NE(only_function(network), nullptr);
    expect_values(network, c.values);
  }
}

TEST(Activations, BoundsOnOneSideOrBoth) {
  const auto clipped = [](const std::vector<std::string>& inputs, const char* op = "Clip") {
    OnnxBuilder m = model();
    m.constant("lo", {}, {-1});
    m.constant("hi", {1}, {6});
    m.node(op, inputs, "a");
    return imported(m);
  };
  expect_values(clipped({"x", "lo", "hi"}), {-1, -0.75, 0, 0.5, 2.5, 6});
  expect_values(clipped({"x", "lo"}), {-1, -0.75, 0, 0.5, 2.5, 9});
  expect_values(clipped({"x", "", "hi"}), {-3.5, -0.75, 0, 0.5, 2.5, 6});
  expect_values(clipped({"x", "lo"}, "Max"), {-1, -0.75, 0, 0.5, 2.5, 9});
  expect_values(clipped({"lo", "x"}, "Max"), {-1, -0.75, 0, 0.5, 2.5, 9});
  expect_values(clipped({"hi", "x"}, "Min"), {-3.5, -0.75, 0, 0.5, 2.5, 6});
  OnnxBuilder old = model();
  auto& n = old.node("Clip", {"x"}, "a");
  set(n, "min", "0");
  set(n, "max", "6");
  expect_values(imported(old), {0, 0, 0, 0.5, 2.5, 6});
  const auto refused = [&](const std::vector<std::string>& inputs, const char* op, const char* word) {
    return test::refuses([&] { clipped(inputs, op); }, {std::string(op) + "_a", word});
  };
  EXPECT_TRUE(refused({"x", "hi", "lo"}, "Clip", "above its upper bound"));
  EXPECT_TRUE(refused({"x", "x"}, "Clip", "constant"));
  EXPECT_TRUE(refused({"x", "x"}, "Max", "one constant number"));
  EXPECT_TRUE(refused({"x", "lo", "hi"}, "Max", "one constant number"));
}

TEST(Activations, SlopesPerChannel) {
  OnnxBuilder m({1, 2, 1, 3}, 13);
  m.constant("slope", {2, 1, 1}, {0.5, -2});
  m.node("PRelu", {"x", "slope"}, "a");
  m.metadata("sotto.relu_ranges", R"({"a": 4})");
  const Network n = imported(m);
  expect_values(n, {-1.75, -0.375, 0, 0.5, 2.5, 9});
  EXPECT_EQ(evaluate(n, Values{1, 2, 3, -1, -2, 3}), (Values{1, 2, 3, 2, 4, 3}));
  ASSERT_NE(only_function(n), nullptr);
  EXPECT_EQ(only_function(n)->range, 4);
  OnnxBuilder one = model();
  one.constant("slope", {1}, {0.25});
  one.node("PRelu", {"x", "slope"}, "a");
  expect_values(imported(one), {-0.875, -0.1875, 0, 0.5, 2.5, 9});
}

TEST(Activations, WholePowers) {
  for (int exponent : {1, 2, 3, 4, 5, 16}) {
    OnnxBuilder m = model();
    m.constant("e", {}, {static_cast<float>(exponent)});
    m.node("Pow", {"x", "e"}, "a");
    const Values y = evaluate(imported(m), kPoints);
    for (std::size_t k = 0; k < y.size(); ++k)
      EXPECT_NEAR(y[k], std::pow(kPoints[k], exponent), 1e-12 * std::abs(y[k])) << exponent;
  }
  for (float exponent : {0.0f, -1.0f, 17.0f, 2.5f}) {
    OnnxBuilder m = model();
    m.constant("e", {}, {exponent});
    m.node("Pow", {"x", "e"}, "a");
    EXPECT_TRUE(test::refuses([&] { imported(m); }, {"Pow_a", "exponents"}));
  }
}

// The ways in which exporters write an activation as several nodes, by the name of its input.
using Writer = std::function<void(OnnxBuilder&, const std::string&)>;

void write_swish(OnnxBuilder& m, const std::string& x) {
  m.node("Sigmoid", {x}, "s");
  m.node("Mul", {x, "s"}, "a");
}
void write_mish(OnnxBuilder& m, const std::string& x) {
  m.node("Softplus", {x}, "p");
  m.node("Tanh", {"p"}, "t");
  m.node("Mul", {x, "t"}, "a");
}
void write_gelu(OnnxBuilder& m, const std::string& x) {
  m.constant("root", {}, {std::sqrt(2.0f)});
  m.constant("one", {}, {1});
  m.constant("half", {}, {0.5});
  m.node("Div", {x, "root"}, "d");
  m.node("Erf", {"d"}, "e");
  m.node("Add", {"e", "one"}, "p");
  m.node("Mul", {x, "p"}, "q");
  m.node("Mul", {"q", "half"}, "a");
}
void write_gelu_tanh(OnnxBuilder& m, const std::string& x) {
  m.constant("three", {}, {3});
  m.constant("small", {}, {0.044715f});
  m.constant("factor", {}, {0.7978845608f});
  m.constant("one", {}, {1});
  m.constant("half", {}, {0.5});
  m.node("Pow", {x, "three"}, "cube");
  m.node("Mul", {"cube", "small"}, "c");
  m.node("Add", {x, "c"}, "d");
  m.node("Mul", {"d", "factor"}, "e");
  m.node("Tanh", {"e"}, "t");
  m.node("Add", {"t", "one"}, "p");
  m.node("Mul", {x, "half"}, "h");
  m.node("Mul", {"h", "p"}, "a");
}
void write_hard_swish(OnnxBuilder& m, const std::string& x) {
  m.constant("three", {}, {3});
  m.constant("zero", {}, {0});
  m.constant("six", {}, {6});
  m.node("Add", {x, "three"}, "d");
  m.node("Clip", {"d", "zero", "six"}, "c");
  m.node("Mul", {x, "c"}, "q");
  m.node("Div", {"q", "six"}, "a");
}

void write_softsign(OnnxBuilder& m, const std::string& x) {
  m.constant("one", {}, {1});
  m.node("Abs", {x}, "b");
  m.node("Add", {"b", "one"}, "d");
  m.node("Div", {x, "d"}, "a");
}
void write_sigmoid(OnnxBuilder& m, const std::string& x) {
  m.constant("one", {}, {1});
  m.node("Neg", {x}, "n");
  m.node("Exp", {"n"}, "e");
  m.node("Add", {"e", "one"}, "d");
  m.node("Div", {"one", "d"}, "a");
}
void write_lorentzian(OnnxBuilder& m, const std::string& x) {
  m.constant("one", {}, {1});
  m.node("Mul", {x, x}, "s");
  m.node("Add", {"s", "one"}, "d");
  m.node("Reciprocal", {"d"}, "a");
}

TEST(Activations, AsExportersWriteThem) {
  const std::pair<Writer, Values> cases[] = {
      {write_swish, {-0.10259268, -0.24061599, 0, 0.31122965, 2.3103546, 8.9988896}},
      {write_mish, {-0.10409575, -0.27649471, 0, 0.37524524, 2.4713924, 9}},
      {write_gelu, {-0.00081422925, -0.16997051, 0, 0.34573123, 2.4844761, 9}},
      {write_gelu_tanh, {-0.00061614811, -0.17003945, 0, 0.345714, 2.4849157, 9}},
      {write_hard_swish, {0, -0.28125, 0, 0.29166666, 2.2916667, 9}},
      {write_softsign, {-0.77777779, -0.42857146, 0, 0.33333334, 0.71428573, 0.9}},
      {write_sigmoid, {0.029312193, 0.32082132, 0.5, 0.62245929, 0.92414182, 0.99987662}},
      {write_lorentzian, {0.0754717, 0.64, 1, 0.8, 0.13793103, 0.012195122}}};
  for (const auto& [write, values] : cases) {
    OnnxBuilder m = model();
    m.constant("zero channel", {1, 1, 1, 1}, {0});
    m.node("Add", {"x", "zero channel"}, "input");  // what a layer before leaves
    write(m, "input");
    const Network n = imported(m);
    expect_values(n, values);
    ASSERT_NE(only_function(n), nullptr) << describe(n);
    for (const Node& node : n.nodes) EXPECT_FALSE(std::holds_alternative<Product>(node.op)) << describe(n);
  }
}

TEST(Activations, ProductsOfOtherValuesStay) {
  OnnxBuilder gate({1, 2, 2, 2}, 13);
  gate.node("GlobalAveragePool", {"x"}, "mean");
  gate.ones("w", {2, 2, 2, 2});
  gate.node("Conv", {"x", "w"}, "conv");
  gate.node("Sigmoid", {"conv"}, "s");
  gate.node("Mul", {"mean", "s"}, "a");
  const Network n = imported(gate);
  EXPECT_TRUE(std::holds_alternative<Product>(n.nodes.back().op)) << describe(n);
  OnnxBuilder square = model();
  square.node("Relu", {"x"}, "r");
  square.node("Mul", {"r", "r"}, "a");
  EXPECT_TRUE(std::holds_alternative<Product>(imported(square).nodes[2].op)) << "a polynomial of what Relu gives";
  // A factor per channel in between is no function of one number.
  OnnxBuilder channels({1, 2, 1, 1}, 13);
  channels.constant("k", {2, 1, 1}, {1, 2});
  channels.node("Mul", {"x", "k"}, "scaled");
  channels.node("Sigmoid", {"scaled"}, "s");
  channels.node("Mul", {"x", "s"}, "a");
  const Network c = imported(channels);
  EXPECT_TRUE(std::holds_alternative<Product>(c.nodes.back().op)) << describe(c);
}

TEST(Activations, StatedRangesOfJoinedOnes) {
  const auto range = [](const Writer& write, const char* ranges) {
    OnnxBuilder m = model();
    write(m, "x");
    m.metadata("sotto.relu_ranges", ranges);
    const Network n = imported(m);
    return only_function(n) == nullptr ? -1 : only_function(n)->range;
  };
  EXPECT_EQ(range(write_swish, R"({"s": 5})"), 5);
  EXPECT_EQ(range(write_swish, R"({"a": 4, "s": 5})"), 4) << "of the whole";
  EXPECT_NEAR(range(write_gelu, R"({"e": 5})"), 5 * std::sqrt(2.0), 1e-6) << "of x / sqrt 2";
  EXPECT_EQ(range(write_hard_swish, R"({"c": 5})"), 8) << "of x + 3";
  EXPECT_EQ(range(write_mish, R"({"p": 5, "t": 0.5})"), 5) << "what tanh reads says nothing about x here";
  EXPECT_EQ(range(write_mish, R"({"t": 0.5})"), 0);
  EXPECT_TRUE(test::refuses(
      [&] {
        range([](OnnxBuilder& m, const std::string& x) { m.node("Mul", {x, x}, "a"); }, R"({"a": 1})");
      },
      {"sotto.relu_ranges", "no activation"}));
}

TEST(Activations, PolesAreRefused) {
  for (const double added : {0.0, -1.0, 1e-5}) {
    OnnxBuilder m = model();
    m.constant("added", {}, {static_cast<float>(added)});
    m.node("Abs", {"x"}, "b");
    m.node("Add", {"b", "added"}, "d");
    m.node("Div", {"x", "d"}, "a");
    EXPECT_TRUE(test::refuses([&] { imported(m); }, {"Div_a", "can be zero"})) << added;
  }
}

// Between all points of any grid.
TEST(Activations, NarrowPolesAreRefused) {
  OnnxBuilder m = model();
  m.constant("one", {}, {1});
  m.constant("place", {}, {0.77777f});
  m.node("Sub", {"x", "place"}, "s");
  m.node("Abs", {"s"}, "b");
  m.node("Div", {"one", "b"}, "a");
  EXPECT_TRUE(test::refuses([&] { imported(m); }, {"Div_a", "can be zero"}));
}

TEST(Activations, ParametersThatMakeNoSense) {
  OnnxBuilder celu = model(), gelu = model(), infinite = model();
  set(celu.node("Celu", {"x"}, "a"), "alpha", "0");
  EXPECT_TRUE(test::refuses([&] { imported(celu); }, {"Celu_a", "alpha"}));
  set(gelu.node("Gelu", {"x"}, "a"), "approximate", "sometimes");
  EXPECT_TRUE(test::refuses([&] { imported(gelu); }, {"Gelu_a", "approximate"}));
  set(infinite.node("Elu", {"x"}, "a"), "alpha", "inf");
  EXPECT_TRUE(test::refuses([&] { imported(infinite); }, {"Elu_a", "alpha"}));
}

TEST(Functions, AreStableFarFromZero) {
  using Kind = Function::Kind;
  for (Kind kind : {Kind::sigmoid, Kind::softplus, Kind::mish, Kind::tanh, Kind::erf, Kind::gelu, Kind::gelu_tanh}) {
    const Function f = Function::of(kind);
    EXPECT_TRUE(std::isfinite(f(-1e4)) && std::isfinite(f(1e4))) << f.name();
  }
  EXPECT_EQ(Function::of(Kind::softplus)(1000), 1000);
  EXPECT_EQ(Function::of(Kind::sigmoid)(-1000), 0);
}

}  // namespace
}  // namespace sotto::graph
