// Nodes that the network does not need: those without use, and those at the end that keep the order of the scores.
#include <gtest/gtest.h>

#include "graph/interpreter.h"
#include "support/expect_error.h"
#include "support/onnx_builder.h"

namespace sotto::graph {
namespace {

using test::OnnxBuilder;
using test::refuses;
using Values = std::vector<double>;
using Dims = std::vector<std::int64_t>;

const Values kImage = {3, 1, 2};

// A model whose scores are twice its input, with more nodes at its end.
struct Scores : OnnxBuilder {
  explicit Scores(std::int64_t opset = 13) : OnnxBuilder({-1, 3, 1, 1}, opset) {
    constant("two", {}, {2});
    node("Mul", {"x", "two"}, "m");
    node("Flatten", {"m"}, "s");
  }
};
void expect_scores(const OnnxBuilder& m, const std::string& note) {
  const Network n = m.import();
  EXPECT_EQ(evaluate(n, kImage), (Values{6, 2, 4}));
  ASSERT_FALSE(n.notes.empty());
  EXPECT_NE(n.notes.front().find(note), std::string::npos) << n.notes.front();
}

TEST(DroppedNodes, SoftmaxAtTheEnd) {
  for (const char* op : {"Softmax", "LogSoftmax", "Hardmax"})
    for (const std::int64_t axis : {1, -1}) {
      Scores m;
      OnnxBuilder::set(m.node(op, {"s"}, "y"), "axis", axis);
      expect_scores(m, op);
    }
  Scores old(11);
  old.node("Softmax", {"s"}, "y");
  expect_scores(old, "Softmax_y");
}

TEST(DroppedNodes, SoftmaxOfAMapOfOnePixel) {
  OnnxBuilder m({-1, 3, 1, 1});
  m.constant("two", {}, {2});
  m.node("Mul", {"x", "two"}, "m");
  OnnxBuilder::set(m.node("Softmax", {"m"}, "p"), "axis", 1);
  m.node("Flatten", {"p"}, "y");
  expect_scores(m, "Softmax_p");
}

TEST(DroppedNodes, LabelsAtTheEnd) {
  Scores m;
  m.node("Softmax", {"s"}, "p");
  m.node("Log", {"p"}, "l");
  auto& n = m.node("ArgMax", {"l"}, "i");
  OnnxBuilder::set(n, "axis", 1);
  OnnxBuilder::set(n, "keepdims", 0);
  OnnxBuilder::set(m.node("Cast", {"i"}, "c"), "to", onnx::TensorProto::INT32);
  m.node("Identity", {"c"}, "y");
  expect_scores(m, "labels stay the same");
}

TEST(DroppedNodes, WhatComputesWithProbabilitiesIsRefused) {
  for (const char* op : {"Mul", "Add", "Concat"}) {
    Scores m;
    m.node("Softmax", {"s"}, "p");
    m.node(op, {"p", "s"}, "y");
    EXPECT_TRUE(refuses([&] { m.import(); }, {std::string(op) + "_y", "Softmax_p"})) << op;
  }
  Scores batch;
  batch.node("ArgMax", {"s"}, "y");
  EXPECT_TRUE(refuses([&] { batch.import(); }, {"ArgMax_y"})) << "over the batch";
}

TEST(DroppedNodes, UnsupportedNodesWithoutUseDoNotMatter) {
  Scores m;
  m.node("LSTM", {"x", "nobody"}, "dead");
  m.node("Resize", {"dead"}, "dead2");
  OnnxBuilder::set(m.node("Constant", {}, "text"), "value_string", std::string("x"));
  m.node("Shape", {"s"}, "shape");
  m.constant("infinite", {1}, {INFINITY});
  m.node("Dropout", {"s"}, "y").add_output("mask");
  const Network n = m.import();
  EXPECT_EQ(evaluate(n, kImage), (Values{6, 2, 4}));
  EXPECT_EQ(n.nodes.size(), 2u);
}

TEST(DroppedNodes, OutputsThatAreUsedButNotComputedAreNamed) {
  Scores m;
  m.node("Dropout", {"s"}, "d").add_output("mask");
  m.node("Add", {"d", "mask"}, "y");
  EXPECT_TRUE(refuses([&] { m.import(); }, {"Add_y", "'mask'"}));
}

// A function of the model: y = x * factor + 1, where the factor is an attribute.
void add_function(OnnxBuilder& m, const std::string& name, const std::string& calls) {
  auto* f = m.model.add_functions();
  f->set_domain("local");
  f->set_name(name);
  f->add_input("in");
  f->add_output("out");
  f->add_attribute("factor");
  const auto add = [&](const std::string& op, const std::string& domain, const Dims&, std::vector<std::string> in,
                       const std::string& out) -> onnx::NodeProto& {
    auto* n = f->add_node();
    n->set_op_type(op);
    n->set_domain(domain);
    for (const auto& i : in) n->add_input(i);
    n->add_output(out);
    return *n;
  };
  auto* factor = add("Constant", "", {}, {}, "k").add_attribute();
  factor->set_name("value_float");
  factor->set_ref_attr_name("factor");
  OnnxBuilder::set(add("Constant", "", {}, {}, "one"), "value_int", 1);
  add("Mul", "", {}, {"in", "k"}, "m");
  if (calls.empty()) {
    add("Add", "", {}, {"m", "one"}, "out");
    return;
  }
  auto& inner = add(calls, "local", {}, {"m"}, "out");
  auto* a = inner.add_attribute();
  a->set_name("factor");
  a->set_f(10);
}
void call(OnnxBuilder& m, const std::string& name, const std::string& in, const std::string& out, float factor) {
  auto& n = m.node(name, {in}, out);
  n.set_domain("local");
  auto* a = n.add_attribute();
  a->set_name("factor");
  a->set_f(factor);
}

TEST(Functions, AreReplacedByTheirNodes) {
  OnnxBuilder m({-1, 3, 1, 1});
  add_function(m, "linear", "");
  add_function(m, "twice", "linear");
  call(m, "linear", "x", "a", 2);
  call(m, "linear", "a", "b", -1);
  call(m, "twice", "b", "c", 3);
  m.node("Flatten", {"c"}, "y");
  // ((2 x + 1) (-1) + 1) 3 10 + 1.
  EXPECT_EQ(evaluate(m.import(), kImage), (Values{-179, -59, -119}));
}

TEST(Functions, ThatCallThemselvesAreRefused) {
  OnnxBuilder m({-1, 3, 1, 1});
  add_function(m, "forever", "forever");
  call(m, "forever", "x", "y", 1);
  EXPECT_TRUE(refuses([&] { m.import(); }, {"'forever'", "calls itself"}));
}

}  // namespace
}  // namespace sotto::graph
