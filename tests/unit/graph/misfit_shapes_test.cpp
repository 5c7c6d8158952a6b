// Operators that move elements or rename axes, where that would mix images, mirror pictures or not fit.
#include <gtest/gtest.h>

#include <functional>

#include "support/expect_error.h"
#include "support/onnx_builder.h"

namespace sotto::graph {
namespace {

using test::OnnxBuilder;
using test::refuses;
using Dims = std::vector<std::int64_t>;

// A node that reads "x" and lists of integers.
onnx::NodeProto& node(OnnxBuilder& m, const std::string& op, const std::vector<Dims>& lists = {}) {
  auto& n = m.node(op, {"x"}, "a");
  for (std::size_t k = 0; k < lists.size(); ++k) {
    m.integers("i" + std::to_string(k), lists[k]);
    n.add_input("i" + std::to_string(k));
  }
  return n;
}
template <class T>
void node(OnnxBuilder& m, const std::string& op, const std::vector<Dims>& lists, const std::string& attribute,
          const T& value) {
  OnnxBuilder::set(node(m, op, lists), attribute, value);
}

struct Misfit {
  const char* what;
  const char* word;  // of the message
  std::function<void(OnnxBuilder&)> build;
};

const Dims kBorder = {0, 0, 1, 1, 0, 0, 1, 1};

// The input is batch x 2 x 4 x 4; node "OP_a" is at fault.
const Misfit kMisfits[] = {
    {"reshape without a batch", "batch", [](auto& m) { node(m, "Reshape", {{32}}); }},
    {"reshape to nothing", "integers", [](auto& m) { node(m, "Reshape", {Dims()}); }},
    {"reshape with two open sizes", "fit",
     [](auto& m) {
       node(m, "Reshape", {{0, -1, -1}});
     }},
    {"reshape with a zero", "fit",
     [](auto& m) {
       node(m, "Reshape", {{0, 2, 4, 4, 0}});
     }},
    {"reshape of images into others", "fit",
     [](auto& m) {
       node(m, "Reshape", {{-1, 16}});
     }},
    {"reshape to a size that overflows", "fit",
     [](auto& m) {
       node(m, "Reshape", {{0, std::int64_t{1} << 40, std::int64_t{1} << 40}});
     }},
    {"reshape by a value", "constant",
     [](auto& m) {
       m.node("Reshape", {"x", "x"}, "a");
     }},
    {"flatten of channels into the batch", "batch", [](auto& m) { node(m, "Flatten", {}, "axis", 2); }},
    {"flatten of an axis that is not there", "axis", [](auto& m) { node(m, "Flatten", {}, "axis", 5); }},
    {"squeeze of pixels", "size 1", [](auto& m) { node(m, "Squeeze", {{2}}); }},
    {"squeeze of the batch", "batch", [](auto& m) { node(m, "Squeeze", {{0}}); }},
    {"unsqueeze before the batch", "batch", [](auto& m) { node(m, "Unsqueeze", {{0}}); }},
    {"unsqueeze of an axis that is not there", "axis 7", [](auto& m) { node(m, "Unsqueeze", {{7}}); }},
    {"unsqueeze of an axis twice", "twice",
     [](auto& m) {
       node(m, "Unsqueeze", {{1, 1}});
     }},
    {"transpose of the batch", "batch",
     [](auto& m) {
       node(m, "Transpose", {}, "perm", Dims{1, 0, 2, 3});
     }},
    {"transpose without an order", "batch", [](auto& m) { node(m, "Transpose"); }},
    {"transpose that is no permutation", "permutation",
     [](auto& m) {
       node(m, "Transpose", {}, "perm", Dims{0, 1, 1, 3});
     }},
    {"slice of the batch", "batch",
     [](auto& m) {
       node(m, "Slice", {{1}, {2}, {0}});
     }},
    {"slice to nothing", "nothing",
     [](auto& m) {
       node(m, "Slice", {{1}, {1}, {1}});
     }},
    {"slice by a step of 0", "step",
     [](auto& m) {
       node(m, "Slice", {{0}, {1}, {1}, {0}});
     }},
    {"slice that mirrors the picture", "in order",
     [](auto& m) {
       node(m, "Slice", {{-1}, {-9}, {3}, {-1}});
     }},
    {"slice with more ends than starts", "number",
     [](auto& m) {
       node(m, "Slice", {{0}, {1, 2}, {1}});
     }},
    {"slice of an axis twice", "twice",
     [](auto& m) {
       node(m, "Slice", {{0, 0}, {1, 1}, {1, -3}});
     }},
    {"slice without ends", "missing", [](auto& m) { node(m, "Slice", {{0}}); }},
    {"gather from the batch", "images", [](auto& m) { node(m, "Gather", {{0}}); }},
    {"gather of what is not there", "axis 2", [](auto& m) { node(m, "Gather", {{2}}, "axis", 1); }},
    {"gather of rows out of order", "in order",
     [](auto& m) {
       node(m, "Gather", {{0, 2, 1}}, "axis", 2);
     }},
    {"split of the batch", "batch", [](auto& m) { node(m, "Split"); }},
    {"split into other sizes", "fit", [](auto& m) { node(m, "Split", {{3}}, "axis", 1); }},
    {"split into more parts than outputs", "number",
     [](auto& m) {
       node(m, "Split", {{1, 1}}, "axis", 1);
     }},
    {"pad of the batch", "batch",
     [](auto& m) {
       node(m, "Pad", {{1, 0, 0, 0, 0, 0, 0, 0}});
     }},
    {"four pads", "two pads",
     [](auto& m) {
       node(m, "Pad", {{1, 1, 1, 1}});
     }},
    {"enormous pads", "in order",
     [](auto& m) {
       node(m, "Pad", {{0, 0, 0, 0, 0, 0, 0, 1 << 16}});
     }},
    {"impossible pads", "range",
     [](auto& m) {
       node(m, "Pad", {{0, 0, 0, 0, 0, 0, 0, INT64_MIN}});
     }},
    {"pad by reflection", "zeros", [](auto& m) { node(m, "Pad", {kBorder}, "mode", std::string("reflect")); }},
    {"pad by ones", "other values than 0",
     [](auto& m) {
       m.constant("one", {}, {1});
       node(m, "Pad", {kBorder}).add_input("one");
     }},
    {"crop of everything", "nothing",
     [](auto& m) {
       node(m, "Pad", {{0, 0, -2, 0, 0, 0, -2, 0}});
     }},
    {"concat of batches", "batch",
     [](auto& m) {
       OnnxBuilder::set(m.node("Concat", {"x", "x"}, "a"), "axis", 0);
     }},
    {"concat of columns", "channels",
     [](auto& m) {
       OnnxBuilder::set(m.node("Concat", {"x", "x"}, "a"), "axis", 3);
     }},
    {"concat of different sizes", "fit",
     [](auto& m) {
       m.node("GlobalAveragePool", {"x"}, "g");
       OnnxBuilder::set(m.node("Concat", {"x", "g"}, "a"), "axis", 1);
     }},
    {"concat with ones", "zeros",
     [](auto& m) {
       m.ones("k", {1, 2, 4, 4});
       OnnxBuilder::set(m.node("Concat", {"x", "k"}, "a"), "axis", 1);
     }},
    {"softmax of a map", "export the model without it", [](auto& m) { node(m, "Softmax"); }},
    {"logarithm", "does not run encrypted", [](auto& m) { node(m, "Log"); }},
    {"sum over channels", "height and width", [](auto& m) { node(m, "ReduceSum", {{1}}); }},
    {"sum over the batch", "height and width", [](auto& m) { node(m, "ReduceSum", {{0}}); }},
    {"maxima over padding of negative numbers", "nothing is negative",
     [](auto& m) {
       auto& pool = m.node("MaxPool", {"x"}, "a");
       OnnxBuilder::set(pool, "kernel_shape", Dims{3, 3});
       OnnxBuilder::set(pool, "pads", Dims{1, 1, 1, 1});
     }},
    {"product of maps of different sizes", "single channel, or a single pixel",
     [](auto& m) {
       OnnxBuilder::set(m.node("AveragePool", {"x"}, "g"), "kernel_shape", Dims{2, 2});
       m.node("Mul", {"x", "g"}, "a");
     }},
    {"batch normalisation with more outputs before opset 14", "training mode",
     [](auto& m) {
       m.ones("k", {2});
       m.node("BatchNormalization", {"x", "k", "k", "k", "k"}, "a").add_output("mean");
     }},
};

TEST(MisfitShapes, AreNamed) {
  for (const Misfit& misfit : kMisfits) {
    OnnxBuilder m;
    misfit.build(m);
    m.node("Flatten", {"a"}, "y");
    const auto& nodes = m.graph().node();
    EXPECT_TRUE(refuses([&] { m.import(); }, {"model.onnx", nodes[nodes.size() - 2].name(), misfit.word}))
        << misfit.what;
  }
}

// Fixed batches of one image may not be mixed with other axes either.
TEST(MisfitShapes, OfABatchOfThree) {
  for (const Dims& target : {Dims{1, 96}, Dims{1, -1}, Dims{6, 16}, Dims{-1, 16}, Dims{-1, -1}}) {
    OnnxBuilder m({3, 2, 4, 4});
    m.integers("s", target);
    m.node("Reshape", {"x", "s"}, "y");
    EXPECT_TRUE(refuses([&] { m.import(); }, {"Reshape_y"})) << target[0] << ", " << target[1];
  }
  OnnxBuilder part({3, 2, 4, 4});
  node(part, "Slice", {{1}, {2}, {0}});
  part.node("Flatten", {"a"}, "y");
  EXPECT_TRUE(refuses([&] { part.import(); }, {"Slice_a", "batch"}));
}

}  // namespace
}  // namespace sotto::graph
