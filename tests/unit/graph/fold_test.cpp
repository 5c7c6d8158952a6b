// Constants that a model computes, against the operators' definitions.
#include <gtest/gtest.h>

#include "graph/onnx_fold.h"
#include "support/expect_error.h"
#include "support/onnx_builder.h"

namespace sotto::graph {
namespace {

using test::OnnxBuilder;
using test::refuses;
using Reals = std::vector<double>;
using Integers = std::vector<Integer>;

constexpr std::size_t kMost = 1000;

Constant reals(Dims dims, Reals values) { return {std::move(dims), false, std::move(values), {}}; }
Constant integers(Dims dims, Integers values) { return {std::move(dims), true, {}, std::move(values)}; }
Constant list(const Integers& values) { return integers({static_cast<std::int64_t>(values.size())}, values); }

// One node and its inputs.
struct Folded {
  onnx::NodeProto proto;
  std::vector<Constant> inputs;
  std::int64_t opset = 18;

  explicit Folded(const std::string& op, std::vector<Constant> in = {}) : inputs(std::move(in)) {
    proto.set_op_type(op);
    proto.set_name("the node");
    for (std::size_t i = 0; i < inputs.size(); ++i) proto.add_input("input" + std::to_string(i));
    proto.add_output("y");
  }
  template <class T>
  Folded& with(const std::string& attribute, const T& value) {
    OnnxBuilder::set(proto, attribute, value);
    return *this;
  }
  std::vector<Constant> all() const {
    std::vector<const Constant*> pointers;
    for (const Constant& c : inputs) pointers.push_back(&c);
    return fold(OnnxNode(proto, opset), pointers, kMost);
  }
  Constant one() const { return all().front(); }
};

void expect(const Constant& c, const Dims& dims, const Reals& values) {
  EXPECT_EQ(c.dims, dims);
  EXPECT_FALSE(c.integral);
  EXPECT_EQ(c.reals, values);
}
void expect(const Constant& c, const Dims& dims, const Integers& values) {
  EXPECT_EQ(c.dims, dims);
  EXPECT_TRUE(c.integral);
  EXPECT_EQ(c.integers, values);
}

const Constant kMatrix = reals({2, 3}, {1, 2, 3, 4, 5, 6});

TEST(Fold, Moves) {
  expect(Folded("Transpose", {kMatrix}).one(), {3, 2}, Reals{1, 4, 2, 5, 3, 6});
  expect(Folded("Gather", {kMatrix, list({2, 0})}).with("axis", -1).one(), {2, 2}, Reals{3, 1, 6, 4});
  expect(Folded("Gather", {kMatrix, integers({}, {-1})}).one(), {3}, Reals{4, 5, 6});
  expect(Folded("Slice", {kMatrix, list({-1}), list({-9}), list({1}), list({-2})}).one(), {2, 2}, Reals{3, 1, 6, 4});
  expect(Folded("Slice", {kMatrix, list({1}), list({INT64_MAX})}).one(), {1, 3}, Reals{4, 5, 6});
  expect(Folded("Slice", {list({1, 2, 3, 4}), list({-1}), list({-INT64_MAX}), list({0}), list({-1})}).one(), {4},
         Integers{4, 3, 2, 1});
  expect(Folded("Concat", {kMatrix, reals({2, 1}, {7, 8})}).with("axis", 1).one(), {2, 4},
         Reals{1, 2, 3, 7, 4, 5, 6, 8});
  expect(Folded("Expand", {reals({2, 1}, {1, 2}), list({3, 1, 2})}).one(), {3, 2, 2},
         Reals{1, 1, 2, 2, 1, 1, 2, 2, 1, 1, 2, 2});
  Folded split("Split", {kMatrix});
  split.with("axis", 1).proto.add_output("z");
  ASSERT_EQ(split.all().size(), 2u);
  expect(split.all()[0], {2, 2}, Reals{1, 2, 4, 5});
  expect(split.all()[1], {2, 1}, Reals{3, 6});
}

TEST(Fold, Shapes) {
  expect(Folded("Shape", {kMatrix}).with("start", -1).one(), {1}, Integers{3});
  expect(Folded("Size", {kMatrix}).one(), {}, Integers{6});
  EXPECT_EQ(Folded("Reshape", {kMatrix, list({0, 1, -1})}).one().dims, (Dims{2, 1, 3}));
  EXPECT_EQ(Folded("Flatten", {kMatrix}).with("axis", 0).one().dims, (Dims{1, 6}));
  EXPECT_EQ(Folded("Unsqueeze", {kMatrix, list({0, -1})}).one().dims, (Dims{1, 2, 3, 1}));
  EXPECT_EQ(Folded("Unsqueeze", {kMatrix}).with("axes", Dims{1}).one().dims, (Dims{2, 1, 3}));
  EXPECT_EQ(Folded("Squeeze", {reals({1, 2, 1}, {1, 2})}).one().dims, Dims{2});
  EXPECT_EQ(Folded("Squeeze", {reals({1, 2, 1}, {1, 2}), list({-1})}).one().dims, (Dims{1, 2}));
  expect(Folded("ConstantOfShape", {list({2, 1})}).one(), {2, 1}, Reals{0, 0});
  expect(Folded("Range", {integers({}, {5}), integers({}, {0}), integers({}, {-2})}).one(), {3}, Integers{5, 3, 1});
}

TEST(Fold, Arithmetic) {
  expect(Folded("Sub", {kMatrix, reals({2, 1}, {1, 2})}).one(), {2, 3}, Reals{0, 1, 2, 2, 3, 4});
  expect(Folded("Div", {list({7, -7}), list({2})}).one(), {2}, Integers{3, -3});
  expect(Folded("Mod", {list({7, -7}), list({4})}).one(), {2}, Integers{3, 1});
  expect(Folded("Max", {list({1, 5}), list({3}), list({2, 2})}).one(), {2}, Integers{3, 5});
  expect(Folded("Equal", {list({1, 5}), list({5})}).one(), {2}, Integers{0, 1});
  expect(Folded("Not", {list({0, 1})}).one(), {2}, Integers{1, 0});
  expect(Folded("Where", {list({1, 0}), list({1, 2}), list({8})}).one(), {2}, Integers{1, 8});
  expect(Folded("Pow", {kMatrix, integers({}, {2})}).one(), {2, 3}, Reals{1, 4, 9, 16, 25, 36});
  expect(Folded("ReduceProd", {list({2, 3})}).with("keepdims", 0).one(), {}, Integers{6});
  expect(Folded("ReduceMean", {kMatrix, list({-1})}).one(), {2, 1}, Reals{2, 5});
  expect(Folded("ReduceL2", {reals({2}, {3, 4})}).one(), {1}, Reals{5});
  expect(Folded("Cast", {reals({2}, {2.9, -2.9})}).with("to", onnx::TensorProto::INT64).one(), {2}, Integers{2, -2});
  expect(Folded("Cast", {list({2, 0})}).with("to", onnx::TensorProto::BOOL).one(), {2}, Integers{1, 0});
  expect(Folded("CastLike", {list({2, 0}), kMatrix}).one(), {2}, Reals{2, 0});
}

// The batch size may be free where the result is known all the same.
TEST(Fold, TheFreeBatchSize) {
  const Integer batch;
  const Constant shape = list({batch, 3});
  expect(Folded("Gather", {shape, integers({}, {0})}).one(), {}, Integers{batch});
  expect(Folded("Slice", {shape, list({1}), list({2})}).one(), {1}, Integers{3});
  expect(Folded("Mul", {shape, list({1})}).one(), {2}, Integers{batch, 3});
  expect(Folded("Add", {shape, list({0})}).one(), {2}, Integers{batch, 3});
  expect(Folded("Equal", {shape, list({-1})}).one(), {2}, Integers{0, 0});
  expect(Folded("Greater", {shape, list({0})}).one(), {2}, Integers{1, 1});
  EXPECT_TRUE(refuses([&] { Folded("Mul", {shape, list({2})}).one(); }, {"the node", "batch size"}));
  EXPECT_TRUE(refuses([&] { Folded("Sub", {list({0}), shape}).one(); }, {"the node", "batch size"}));
  EXPECT_TRUE(refuses([&] { Folded("Equal", {shape, list({1})}).one(); }, {"the node", "batch size"}));
  EXPECT_TRUE(refuses([&] { Folded("ConstantOfShape", {shape}).one(); }, {"the node", "batch size"}));
  EXPECT_TRUE(
      refuses([&] { Folded("Cast", {shape}).with("to", onnx::TensorProto::FLOAT).one(); }, {"the node", "batch size"}));
}

TEST(Fold, WhatIsNotDefined) {
  const auto one = integers({}, {1});
  const Folded cases[] = {
      Folded("Div", {list({1}), list({0})}),
      Folded("Mod", {list({1}), list({0})}),
      Folded("Div", {reals({1}, {1}), reals({1}, {0})}),
      Folded("Sqrt", {reals({1}, {-1})}),
      Folded("Mul", {list({std::int64_t{1} << 40}), list({std::int64_t{1} << 40})}),
      Folded("Neg", {list({INT64_MIN})}),
      Folded("Abs", {list({INT64_MIN})}),
      Folded("Div", {list({INT64_MIN}), list({-1})}),
      Folded("Add", {reals({2}, {1, 2}), reals({3}, {1, 2, 3})}),
      Folded("Add", {kMatrix}),
      Folded("Mod", {kMatrix, kMatrix}),
      Folded("Gather", {kMatrix, list({2})}),
      Folded("Gather", {integers({}, {1}), list({0})}),
      Folded("Reshape", {kMatrix, list({4})}),
      Folded("Reshape", {kMatrix, list({-1, -1})}),
      Folded("Reshape", {kMatrix, list({-6})}),
      Folded("Reshape", {kMatrix, kMatrix}),
      Folded("Expand", {kMatrix, list({2})}),
      Folded("Expand", {kMatrix, list({-1, 2, 3})}),
      Folded("ConstantOfShape", {list({-1})}),
      Folded("Range", {one, one, integers({}, {0})}),
      Folded("Range", {integers({}, {INT64_MIN}), one, one}),
      Folded("Concat", {kMatrix, list({1})}),
      Folded("Squeeze", {kMatrix, list({0})}),
      Folded("Cast", {reals({1}, {1e30})}).with("to", onnx::TensorProto::INT64),
      Folded("Cast", {kMatrix}).with("to", onnx::TensorProto::STRING),
      Folded("Where", {kMatrix, kMatrix, kMatrix}),
      Folded("Transpose", {kMatrix}).with("perm", Dims{0, 2}),
      Folded("ReduceMax", {reals({0}, {})}),
      Folded("Constant"),
      Folded("Identity"),
      Folded("Concat"),
  };
  for (const Folded& c : cases) EXPECT_TRUE(refuses([&] { c.all(); }, {"'the node'"})) << c.proto.ShortDebugString();
}

// A few bytes must not make gigabytes.
TEST(Fold, ResultsAreBounded) {
  const auto big = std::int64_t{1} << 30;
  const Folded cases[] = {Folded("Expand", {kMatrix, list({big, 2, 3})}),
                          Folded("ConstantOfShape", {list({big, big, big})}),
                          Folded("Range", {integers({}, {0}), integers({}, {big}), integers({}, {1})}),
                          Folded("Add", {reals({40, 1}, Reals(40)), reals({1, 40}, Reals(40))}),
                          Folded("Where", {list({1}), reals({40, 1}, Reals(40)), reals({1, 40}, Reals(40))}),
                          Folded("Gather", {reals({40, 1}, Reals(40)), list(Integers(30, 0))}).with("axis", 1)};
  for (const Folded& c : cases)
    EXPECT_TRUE(refuses([&] { c.all(); }, {"'the node'", "too large"})) << c.proto.ShortDebugString();
  EXPECT_EQ(Folded("Add", {reals({2000}, Reals(2000)), reals({}, {1})}).one().size(), 2000u)
      << "as large as its inputs";
}

TEST(Fold, TheWholeModelIsBounded) {
  OnnxBuilder m;
  m.integers("shape", {1 << 20});
  std::string sum = "x";
  for (int k = 0; k < 20; ++k) {
    const std::string name = "k" + std::to_string(k);
    m.node("ConstantOfShape", {"shape"}, name);
    m.node("ReduceSum", {name}, "s" + name);
    m.node("Mul", {sum, "s" + name}, "m" + name);
    sum = "m" + name;
  }
  m.node("Flatten", {sum}, "y");
  EXPECT_TRUE(refuses([&] { m.import(); }, {"ConstantOfShape_k", "too many constants"}));
}

}  // namespace
}  // namespace sotto::graph
