// Constants and metadata that cannot be imported, and models that would silently mean something else.
#include <gtest/gtest.h>

#include <functional>

#include "support/expect_error.h"
#include "support/onnx_builder.h"

namespace sotto::graph {
namespace {

using test::OnnxBuilder;
using test::refuses;
using Dims = std::vector<std::int64_t>;
using Tensor = onnx::TensorProto;

TEST(RefusedConstants, DataThatDoNotFitTheShape) {
  struct {
    const char* what;
    std::function<void(Tensor&)> spoil;
  } const cases[] = {
      {"too few", [](Tensor& t) { t.clear_float_data(); }},
      {"too many", [](Tensor& t) { t.add_float_data(1); }},
      {"raw data cut off", [](Tensor& t) { t.set_raw_data("1234567"); }},
      {"raw data of twice the size", [](Tensor& t) { t.set_raw_data(std::string(16, '\0')); }},
      {"another type", [](Tensor& t) { t.set_data_type(Tensor::DOUBLE); }},
      {"negative size", [](Tensor& t) { t.set_dims(0, -2); }},
      {"huge size", [](Tensor& t) { t.set_dims(0, std::int64_t{1} << 40); }},
      {"sizes whose product overflows",
       [](Tensor& t) {
         t.set_dims(0, std::int64_t{1} << 62);
         t.add_dims(4);
       }},
      {"unsupported type", [](Tensor& t) { t.set_data_type(Tensor::STRING); }},
      {"no type", [](Tensor& t) { t.set_data_type(0); }},
      {"unknown type", [](Tensor& t) { t.set_data_type(1000); }},
      {"not a number", [](Tensor& t) { t.set_float_data(0, NAN); }},
      {"infinite", [](Tensor& t) { t.set_float_data(1, -INFINITY); }},
      {"half-precision infinity",
       [](Tensor& t) {
         t.set_data_type(Tensor::FLOAT16);
         t.set_raw_data(std::string("\x00\x7c\x00\x00", 4));
       }},
      {"external",
       [](Tensor& t) {
         t.set_data_location(Tensor::EXTERNAL);
         t.add_external_data()->set_key("location");
       }},
  };
  for (const auto& c : cases) {
    OnnxBuilder m;
    c.spoil(m.constant("k", {2, 1, 1}, {1, 2}));
    m.node("Mul", {"x", "k"}, "a");
    m.node("Flatten", {"a"}, "y");
    EXPECT_TRUE(refuses([&] { m.import(); }, {"'k'"})) << c.what;
  }
}

TEST(RefusedConstants, ConstantNodes) {
  const auto use = [](OnnxBuilder& m) {
    m.node("Mul", {"x", "k"}, "a");
    m.node("Flatten", {"a"}, "y");
    m.import();
  };
  OnnxBuilder text;
  OnnxBuilder::set(text.node("Constant", {}, "k"), "value_string", std::string("x"));
  EXPECT_TRUE(refuses([&] { use(text); }, {"Constant_k"}));
  OnnxBuilder none;
  none.node("Constant", {}, "k");
  EXPECT_TRUE(refuses([&] { use(none); }, {"Constant_k"}));
  OnnxBuilder twice;
  twice.constant("k", {}, {1});
  OnnxBuilder::set(twice.node("Constant", {}, "k"), "value_int", 1);
  EXPECT_TRUE(refuses([&] { use(twice); }, {"Constant_k", "twice"}));
  OnnxBuilder initializers;
  initializers.constant("k", {}, {1});
  initializers.constant("k", {}, {2});
  EXPECT_TRUE(refuses([&] { use(initializers); }, {"'k'", "twice"}));
}

TEST(RefusedConstants, BatchNormalization) {
  struct {
    const char* what;
    std::function<void(OnnxBuilder&, onnx::NodeProto&)> spoil;
  } const cases[] = {
      {"training mode", [](auto&, auto& n) { OnnxBuilder::set(n, "training_mode", 1); }},
      {"too few constants",
       [](auto& m, auto&) {
         m.constant("p", {1}, {1});
         m.graph().mutable_node(0)->set_input(3, "p");
       }},
      {"missing constant", [](auto&, auto& n) { n.mutable_input()->RemoveLast(); }},
      {"negative variance",
       [](auto& m, auto&) {
         m.constant("p", {2}, {1, -1});
         m.graph().mutable_node(0)->set_input(4, "p");
       }},
  };
  for (const auto& c : cases) {
    OnnxBuilder m;
    m.ones("k", {2});
    auto& n = m.node("BatchNormalization", {"x", "k", "k", "k", "k"}, "a");
    c.spoil(m, n);
    m.node("Flatten", {"a"}, "y");
    EXPECT_TRUE(refuses([&] { m.import(); }, {"BatchNormalization_a"})) << c.what;
  }
}

TEST(RefusedConstants, DenseLayers) {
  struct {
    const char* what;
    const char* op;
    Dims weights, bias;
    const char* attribute;
  } const cases[] = {
      {"inputs differ", "Gemm", {31, 3}, {3}, nullptr},        {"inputs differ", "MatMul", {3, 32}, {}, nullptr},
      {"bias differs", "Gemm", {32, 3}, {2}, nullptr},         {"transposed input", "Gemm", {32, 3}, {3}, "transA"},
      {"weights transposed", "Gemm", {32, 3}, {32}, "transB"}, {"vector", "MatMul", {32}, {}, nullptr},
      {"no weights", "Gemm", {32, 0}, {0}, nullptr},           {"three dimensions", "MatMul", {1, 32, 3}, {}, nullptr}};
  for (const auto& c : cases) {
    OnnxBuilder m;
    m.node("Flatten", {"x"}, "f");
    m.ones("w", c.weights);
    auto& n = m.node(c.op, {"f", "w"}, "y");
    if (!c.bias.empty()) {
      m.ones("b", c.bias);
      n.add_input("b");
    }
    if (c.attribute != nullptr) OnnxBuilder::set(n, c.attribute, 1);
    EXPECT_TRUE(refuses([&] { m.import(); }, {std::string(c.op) + "_y"})) << c.what;
  }
}

TEST(RefusedConstants, Metadata) {
  const std::pair<const char*, const char*> cases[] = {
      {"sotto.mean", "1,2,3"}, {"sotto.mean", ""},         {"sotto.mean", "1,x"}, {"sotto.mean", "1,nan"},
      {"sotto.mean", "1,,2"},  {"sotto.mean", "1,2 3"},    {"sotto.std", "1,0"},  {"sotto.std", "1,-1"},
      {"sotto.std", "inf,1"},  {"sotto.classes", "a,b,c"}, {"sotto.classes", "a"}};
  for (const auto& [key, value] : cases) {
    OnnxBuilder m({1, 2, 1, 1});
    m.node("Flatten", {"x"}, "y");
    m.metadata(key, value);
    EXPECT_TRUE(refuses([&] { m.import(); }, {"model.onnx", key})) << key << " = " << value;
  }
}

TEST(RefusedConstants, RangesOfRelus) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "JSON"},
      {"6.5", "JSON"},
      {"[6.5]", "JSON"},
      {R"({"a": 6.5)", "JSON"},
      {R"({"a": 1e999})", "JSON"},
      {R"({"a": "6.5"})", "'a'"},
      {R"({"a": null})", "'a'"},
      {R"({"a": 0})", "'a'"},
      {R"({"a": -1})", "'a'"},
      {R"({"a": 1, "b": {}})", "'b'"},
      {R"({"a": 1, "Flatten_y": 2})", "'Flatten_y'"},
      {R"({"nobody": 1})", "'nobody'"},
  };
  for (const auto& [value, word] : cases) {
    OnnxBuilder m;
    m.node("Relu", {"x"}, "a");
    m.node("Flatten", {"a"}, "y");
    m.metadata("sotto.relu_ranges", value);
    EXPECT_TRUE(refuses([&] { m.import(); }, {"model.onnx", "sotto.relu_ranges", word})) << value;
  }
}

TEST(RefusedConstants, DropoutInTrainingMode) {
  OnnxBuilder m;
  m.constant("ratio", {}, {0.5});
  auto& training = m.constant("training", {}, {});
  training.set_data_type(Tensor::BOOL);
  training.add_int32_data(1);
  m.node("Dropout", {"x", "ratio", "training"}, "a");
  m.node("Flatten", {"a"}, "y");
  EXPECT_TRUE(refuses([&] { m.import(); }, {"Dropout_a", "training mode"}));
}

// Each of these means another thing to ONNX than scores of single images.
TEST(RefusedConstants, QuotientsOfConstantsByZero) {
  OnnxBuilder m;
  m.constant("one", {}, {1});
  m.constant("zero", {}, {0});
  m.node("Div", {"one", "zero"}, "k");
  m.node("Mul", {"x", "k"}, "a");
  m.node("Flatten", {"a"}, "y");
  EXPECT_TRUE(refuses([&] { m.import(); }, {"Div_k"}));
}

TEST(RefusedConstants, ReshapesThatSplitAnImage) {
  for (const Dims& target : {Dims{2, -1}, Dims{2, 16}, Dims{-1, 16}, Dims{5, 32}}) {
    OnnxBuilder m({1, 2, 4, 4});
    m.integers("s", target);
    m.node("Reshape", {"x", "s"}, "y");
    EXPECT_TRUE(refuses([&] { m.import(); }, {"Reshape_y"})) << target[0] << ", " << target[1];
  }
}

TEST(RefusedConstants, VectorsThatBroadcastOverTheColumnsOfMeans) {
  // [n, 2, 1, 1] + [2] is [n, 2, 1, 2], not one value per channel.
  OnnxBuilder m;
  m.ones("k", {2});
  m.node("GlobalAveragePool", {"x"}, "g");
  m.node("Add", {"g", "k"}, "a");
  m.node("Flatten", {"a"}, "y");
  EXPECT_TRUE(refuses([&] { m.import(); }, {"Add_a"}));
}

TEST(RefusedConstants, SqueezesOfTheBatch) {
  OnnxBuilder m({1, 2, 4, 4});
  m.integers("axes", {0});
  m.node("GlobalAveragePool", {"x"}, "g");
  m.node("Squeeze", {"g", "axes"}, "y");
  EXPECT_TRUE(refuses([&] { m.import(); }, {"Squeeze_y"}));
}

TEST(RefusedConstants, SumsOfMapsAndMatrices) {
  // [n, 2, 1, 1] + [n, 2] is [n, 2, n, 2].
  OnnxBuilder m;
  m.node("GlobalAveragePool", {"x"}, "g");
  m.node("Flatten", {"g"}, "f");
  m.node("Add", {"g", "f"}, "a");
  m.node("Flatten", {"a"}, "y");
  EXPECT_TRUE(refuses([&] { m.import(); }, {"Add_a"}));
}

TEST(RefusedConstants, GroupsBeyondThirtyTwoBits) {
  OnnxBuilder m;
  m.ones("w", {1, 2, 1, 1});
  OnnxBuilder::set(m.node("Conv", {"x", "w"}, "a"), "group", (std::int64_t{1} << 32) + 1);
  m.node("Flatten", {"a"}, "y");
  EXPECT_TRUE(refuses([&] { m.import(); }, {"Conv_a"}));
}

TEST(RefusedConstants, PadsThatMakeAValueOfTerabytes) {
  OnnxBuilder m;
  m.ones("w", {1000, 2, 1, 1});
  OnnxBuilder::set(m.node("Conv", {"x", "w"}, "a"), "pads", Dims{8000, 8000, 8000, 8000});
  m.node("GlobalAveragePool", {"a"}, "y");
  EXPECT_TRUE(refuses([&] { m.import(); }, {"Conv_a"}));
}

}  // namespace
}  // namespace sotto::graph
