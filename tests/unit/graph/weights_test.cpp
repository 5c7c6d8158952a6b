// Weights written back into a model: in whatever way it holds them, the import must read the new ones.
#include <gtest/gtest.h>

#include <cstring>

#include "graph/interpreter.h"
#include "graph/onnx_weights.h"
#include "support/expect_error.h"
#include "support/onnx_builder.h"
#include "support/values.h"

namespace sotto::graph {
namespace {

using test::OnnxBuilder;
using test::refuses;
using Values = std::vector<double>;

// Models with input [n, 2, 4, 4].
class WriteWeights : public testing::Test {
 protected:
  std::filesystem::path model() {
    const auto path = m.folder / "model.onnx";
    test::write_text(path, m.model.SerializeAsString());
    return path;
  }
  onnx::ModelProto written() const {
    onnx::ModelProto out;
    EXPECT_TRUE(out.ParseFromString(test::read_text(m.folder / "out.onnx")));
    return out;
  }
  static std::vector<float> numbers(std::size_t count) {
    std::vector<float> v(count);
    for (std::size_t i = 0; i < count; ++i) v[i] = static_cast<float>(i) / 16 - 0.5f;
    return v;
  }
  // Gives every weight and bias of the network new values and compares with the network that has them.
  void expect_written(std::size_t nodes) {
    const auto path = model();
    Network expected = import_onnx(path);
    std::vector<NewWeights> weights;
    unsigned seed = 0;
    const auto give = [&](const Node& n, bool bias, Values& values) {
      values = test::random_values(values.size(), ++seed, 1);
      weights.push_back({n.name, bias, values});
    };
    for (Node& n : expected.nodes) {
      if (auto* c = std::get_if<Conv2d>(&n.op)) give(n, false, c->weights), give(n, true, c->bias);
      if (auto* d = std::get_if<Dense>(&n.op)) give(n, false, d->weights), give(n, true, d->bias);
    }
    check_writable(path, weights);
    EXPECT_FALSE(std::filesystem::exists(m.folder / "out.onnx"));
    write_onnx(path, m.folder / "out.onnx", weights);
    const Values image = test::random_values(expected.input_shape().size(), 9, 1);
    EXPECT_LT(test::relative_error(evaluate(import_onnx(m.folder / "out.onnx"), image), evaluate(expected, image)),
              1e-6);
    EXPECT_EQ(written().graph().node_size(), static_cast<int>(nodes));
  }

  OnnxBuilder m;
};

TEST_F(WriteWeights, OfConvolutionsAndGemm) {
  m.constant("w", {3, 2, 3, 3}, numbers(54));
  m.constant("b", {3}, {1, 2, 3});
  OnnxBuilder::set(m.node("Conv", {"x", "w", "b"}, "c"), "pads", std::vector<std::int64_t>{1, 1, 1, 1});
  m.node("Flatten", {"c"}, "f");
  m.constant("d", {5, 48}, numbers(240));
  m.constant("e", {5}, numbers(5));
  auto& gemm = m.node("Gemm", {"f", "d", "e"}, "y");
  OnnxBuilder::set(gemm, "transB", std::int64_t{1});
  expect_written(3);
  const auto graph = written().graph();
  EXPECT_EQ(graph.initializer_size(), 4);
  EXPECT_EQ(graph.node(2).input(1), "d");  // names stay
}

// Two convolutions and a dense layer; weights and biases as named.
void build_shared(OnnxBuilder& m, const std::string& second_weights, const std::string& dense_bias) {
  m.ones("w", {2, 2, 1, 1});
  m.ones("own", {2, 2, 1, 1});
  m.ones("b", {2});
  m.ones("other", {2});
  m.ones("d", {2, 32});
  m.node("Conv", {"x", "w", "b"}, "c");
  m.node("Identity", {"w"}, "copied");  // as exporters write weights that are used twice
  m.node("Conv", {"c", second_weights}, "e");
  m.node("Flatten", {"e"}, "f");
  OnnxBuilder::set(m.node("Gemm", {"f", "d", dense_bias}, "y"), "transB", std::int64_t{1});
}

TEST(SharedWeights, AreRefused) {
  const auto require = [](const std::string& second_weights, const std::string& dense_bias,
                          const std::vector<NewWeights>& weights) {
    OnnxBuilder m;
    build_shared(m, second_weights, dense_bias);
    (void)m.import();
    require_unshared(m.folder / "model.onnx", weights);
  };
  const std::vector<NewWeights> first{{"Conv_c", false, {}}, {"Conv_c", true, {}}};
  const std::vector<NewWeights> last{{"Gemm_y", false, {}}, {"Gemm_y", true, {}}};
  EXPECT_NO_THROW(require("own", "other", first));
  EXPECT_NO_THROW(require("own", "other", last));
  EXPECT_NO_THROW(require("w", "other", last));  // those that share are not trained
  EXPECT_TRUE(refuses([&] { require("w", "other", first); }, {"node 'Conv_c'", "weights", "'w'", "node 'Conv_e'"}));
  EXPECT_TRUE(refuses([&] { require("copied", "other", first); }, {"node 'Conv_c'", "'w'", "node 'Conv_e'"}));
  EXPECT_TRUE(refuses([&] { require("copied", "other", {{"Conv_e", false, {}}}); }, {"'Conv_e'", "'w'", "'Conv_c'"}));
  EXPECT_TRUE(refuses([&] { require("own", "b", first); }, {"node 'Conv_c'", "biases", "'b'", "node 'Gemm_y'"}));
  EXPECT_TRUE(refuses([&] { require("own", "b", last); }, {"node 'Gemm_y'", "biases", "'b'", "node 'Conv_c'"}));
}

TEST_F(WriteWeights, OfGemmWithFactorsAndWithoutTranspose) {
  m.node("Flatten", {"x"}, "f");
  m.constant("d", {32, 5}, numbers(160));
  m.constant("e", {1, 5}, numbers(5));
  auto& gemm = m.node("Gemm", {"f", "d", "e"}, "y");
  for (const auto& [name, value] : {std::pair("alpha", 0.25f), std::pair("beta", -2.0f)}) {
    auto* a = gemm.add_attribute();
    a->set_name(name);
    a->set_type(onnx::AttributeProto::FLOAT);
    a->set_f(value);
  }
  expect_written(2);
}

TEST_F(WriteWeights, OfLayersWithoutBiases) {
  m.constant("w", {3, 2, 3, 3}, numbers(54));
  m.node("Conv", {"x", "w"}, "c");
  m.node("Flatten", {"c"}, "f");
  m.constant("d", {12, 6}, numbers(72));
  m.node("Gemm", {"f", "d"}, "g");
  m.constant("k", {6, 5}, numbers(30));
  m.node("MatMul", {"g", "k"}, "y");
  expect_written(5);  // the last one gets an Add
  EXPECT_EQ(written().graph().output(0).name(), "y");
}

TEST_F(WriteWeights, OfConstantsThatNodesCompute) {
  m.node("Flatten", {"x"}, "f");
  auto* value = m.node("Constant", {}, "k").add_attribute();
  value->set_name("value");
  value->set_type(onnx::AttributeProto::TENSOR);
  value->mutable_t()->set_data_type(onnx::TensorProto::FLOAT);
  for (int d : {5, 32}) value->mutable_t()->add_dims(d);
  for (float v : numbers(160)) value->mutable_t()->add_float_data(v);
  m.node("Transpose", {"k"}, "t");
  m.node("MatMul", {"f", "t"}, "g");
  m.constant("b", {5}, numbers(5));
  m.node("Add", {"b", "g"}, "y");
  const auto path = model();
  const Network network = import_onnx(path);
  const Values w = test::random_values(160, 1, 1), b = test::random_values(5, 2, 1);
  write_onnx(path, m.folder / "out.onnx", std::vector<NewWeights>{{"MatMul_g", false, w}, {"Add_y", true, b}});
  const Network got = import_onnx(m.folder / "out.onnx");
  Network expected = network;
  for (Node& n : expected.nodes) {
    if (auto* d = std::get_if<Dense>(&n.op)) d->weights = w;
    if (auto* a = std::get_if<ChannelAffine>(&n.op)) a->shift = b;
  }
  const Values image = test::random_values(32, 3, 1);
  EXPECT_LT(test::relative_error(evaluate(got, image), evaluate(expected, image)), 1e-6);
  EXPECT_EQ(written().graph().node_size(), 3);  // Constant and Transpose are of no use any more
}

TEST_F(WriteWeights, BiasesThatAreNodesBehindConvolutions) {
  m.constant("w", {3, 2, 3, 3}, numbers(54));
  m.node("Conv", {"x", "w"}, "c");
  m.constant("b", {3, 1, 1}, numbers(3));
  m.node("Add", {"c", "b"}, "a");
  m.node("Flatten", {"a"}, "y");
  write_onnx(model(), m.folder / "out.onnx", std::vector<NewWeights>{{"Add_a", true, {1, 2, 3}}});
  const Network got = import_onnx(m.folder / "out.onnx");
  EXPECT_EQ(std::get<ChannelAffine>(got.nodes[2].op).shift, (Values{1, 2, 3}));
}

TEST_F(WriteWeights, OfConvolutionsAlongALine) {
  m.model.Clear();
  OnnxBuilder line({-1, 2, 9});
  m.model = line.model;
  m.constant("w", {3, 2, 3}, numbers(18));
  m.node("Conv", {"x", "w"}, "c");
  m.node("Flatten", {"c"}, "y");
  expect_written(2);
}

TEST_F(WriteWeights, TensorsThatOthersReadStayWhatTheyAre) {
  m.constant("w", {2, 2, 1, 1}, {1, 2, 3, 4});
  auto& first = m.node("Conv", {"x", "w"}, "a");
  first.set_name("first");
  m.node("Conv", {"a", "w"}, "c").set_name("second");
  m.node("Flatten", {"c"}, "y");
  write_onnx(model(), m.folder / "out.onnx", std::vector<NewWeights>{{"first", false, {5, 6, 7, 8}}});
  const Network got = import_onnx(m.folder / "out.onnx");
  EXPECT_EQ(std::get<Conv2d>(got.nodes[1].op).weights, (Values{5, 6, 7, 8}));
  EXPECT_EQ(std::get<Conv2d>(got.nodes[2].op).weights, (Values{1, 2, 3, 4}));
}

TEST_F(WriteWeights, TensorsOfOtherFilesComeAlong) {
  auto& t = m.constant("w", {2, 2, 1, 1}, {});
  const float data[] = {1, 2, 3, 4};
  test::write_text(m.folder / "weights.data", std::string(reinterpret_cast<const char*>(data), sizeof data));
  t.set_data_location(onnx::TensorProto::EXTERNAL);
  auto* entry = t.add_external_data();
  entry->set_key("location");
  entry->set_value("weights.data");
  m.node("Conv", {"x", "w"}, "a");
  m.node("Flatten", {"a"}, "y");
  std::filesystem::create_directory(m.folder / "elsewhere");
  const auto target = m.folder / "elsewhere/out.onnx";
  write_onnx(model(), target, std::vector<NewWeights>{{"Conv_a", true, {5, 6}}});
  const Network got = import_onnx(target);
  EXPECT_EQ(std::get<Conv2d>(got.nodes[1].op).weights, (Values{1, 2, 3, 4}));
  EXPECT_EQ(std::get<Conv2d>(got.nodes[1].op).bias, (Values{5, 6}));
}

TEST_F(WriteWeights, MetadataStay) {
  m.metadata("sotto.classes", "a, b");
  m.node("GlobalAveragePool", {"x"}, "g");
  m.node("Flatten", {"g"}, "f");
  m.constant("d", {2, 2}, numbers(4));
  m.node("MatMul", {"f", "d"}, "y");
  write_onnx(model(), m.folder / "out.onnx", std::vector<NewWeights>{{"MatMul_y", false, {1, 2, 3, 4}}});
  EXPECT_EQ(import_onnx(m.folder / "out.onnx").classes, (std::vector<std::string>{"a", "b"}));
}

TEST_F(WriteWeights, RefusesWhatCannotBeWrittenBack) {
  auto& t = m.constant("w", {2, 2, 1, 1}, {1, 2, 3, 4});
  m.node("Conv", {"x", "w"}, "a").set_name("conv");
  m.constant("one", {2}, {1, 1});
  m.constant("two", {2}, {2, 2});
  m.node("BatchNormalization", {"a", "two", "one", "one", "one"}, "n").set_name("norm");
  m.node("Flatten", {"n"}, "f");
  m.constant("d", {32, 2}, numbers(64));
  m.node("Gemm", {"f", "d"}, "y").set_name("fc");
  const auto refusal = [&](const NewWeights& w, const char* message) {
    return refuses([&] { write_onnx(model(), m.folder / "out.onnx", {&w, 1}); }, {"model.onnx", w.node, message});
  };
  EXPECT_TRUE(refusal({"nowhere", false, {1}}, "no such node"));
  EXPECT_TRUE(refusal({"norm", true, {1, 2}}, "BatchNormalization"));
  EXPECT_TRUE(refusal({"conv", false, {1, 2, 3}}, "number of weights"));
  EXPECT_TRUE(refusal({"conv", false, {1, 2, 3, 1e60}}, "not finite"));
  t.set_data_type(onnx::TensorProto::DOUBLE);
  for (float v : t.float_data()) t.add_double_data(v);
  t.clear_float_data();
  EXPECT_TRUE(refusal({"conv", false, {1, 2, 3, 4}}, "not float32"));
  EXPECT_TRUE(refusal({"conv", true, {1, 2}}, "not float32"));
  m.graph().mutable_node(1)->set_name("conv");
  EXPECT_TRUE(refusal({"conv", false, {1, 2, 3, 4}}, "two nodes"));
  EXPECT_EQ(m.folder.names(), (std::set<std::string>{"model.onnx"}));
}

TEST_F(WriteWeights, RefusesLayersThatTheImportReorders) {
  m.model.Clear();
  OnnxBuilder flat({-1, 4});
  m.model = flat.model;
  m.integers("order", {3, 2, 1, 0});
  OnnxBuilder::set(m.node("Gather", {"x", "order"}, "g"), "axis", std::int64_t{1});
  m.constant("d", {4, 2}, numbers(8));
  m.node("Gemm", {"g", "d"}, "y").set_name("fc");
  const NewWeights w{"fc", false, test::random_values(8, 1, 1)};
  const auto path = model();
  if (import_onnx(path).nodes.size() != 2u) GTEST_SKIP() << "the import keeps the order apart";
  EXPECT_TRUE(refuses([&] { check_writable(path, {&w, 1}); }, {"fc", "the import changes"}));
}

TEST_F(WriteWeights, RefusesNodesOfFunctions) {
  m.constant("w", {2, 2, 1, 1}, {1, 2, 3, 4});
  auto* f = m.model.add_functions();
  f->set_domain("own");
  f->set_name("Layer");
  f->add_input("in");
  f->add_input("weights");
  f->add_output("out");
  f->add_opset_import()->set_version(13);
  auto* n = f->add_node();
  n->set_op_type("Conv");
  n->set_name("inner");
  n->add_input("in");
  n->add_input("weights");
  n->add_output("out");
  auto* o = m.model.add_opset_import();
  o->set_domain("own");
  o->set_version(1);
  m.node("Layer", {"x", "w"}, "a").set_domain("own");
  m.node("Flatten", {"a"}, "y");
  const auto path = model();
  const NewWeights w{import_onnx(path).nodes[1].name, false, {1, 2, 3, 4}};
  EXPECT_TRUE(refuses([&] { check_writable(path, {&w, 1}); }, {"inner", "in a function"}));
}

TEST_F(WriteWeights, AnOlderFileStaysIfSomethingFails) {
  m.node("Flatten", {"x"}, "f");
  m.constant("d", {32, 2}, numbers(64));
  m.node("Gemm", {"f", "d"}, "y").set_name("fc");
  test::write_text(m.folder / "out.onnx", "before");
  const NewWeights wrong{"fc", false, {1}};
  EXPECT_TRUE(refuses([&] { write_onnx(model(), m.folder / "out.onnx", {&wrong, 1}); }));
  EXPECT_EQ(test::read_text(m.folder / "out.onnx"), "before");
}

}  // namespace
}  // namespace sotto::graph
