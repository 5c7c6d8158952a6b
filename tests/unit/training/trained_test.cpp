#include "training/trained.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "graph/interpreter.h"
#include "support/onnx_builder.h"
#include "support/values.h"
#include "training/differentiate.h"
#include "training/run_twin.h"

namespace sotto::training {
namespace {

using test::OnnxBuilder;

// A model as PyTorch exports it: two layers with a quadratic between them, whose scalars are stored tensors.
void build(OnnxBuilder& m) {
  const auto numbers = [](std::size_t count, unsigned seed) {
    const auto v = test::random_values(count, seed, 0.5);
    return std::vector<float>(v.begin(), v.end());
  };
  m.constant("w", {2, 1, 3, 3}, numbers(18, 1));
  m.constant("b", {2}, numbers(2, 2));
  auto& conv = m.node("Conv", {"x", "w", "b"}, "c");
  OnnxBuilder::set(conv, "strides", std::vector<std::int64_t>{2, 2});
  OnnxBuilder::set(conv, "pads", std::vector<std::int64_t>{1, 1, 1, 1});
  m.constant("quarter", {}, {0.25});
  m.constant("half", {}, {0.5});
  m.node("Mul", {"c", "quarter"}, "s");
  m.node("Add", {"s", "half"}, "t");
  m.node("Mul", {"c", "t"}, "q");
  m.node("Flatten", {"q"}, "f");
  m.constant("d", {3, 32}, numbers(96, 3));
  m.constant("e", {3}, numbers(3, 4));
  OnnxBuilder::set(m.node("Gemm", {"f", "d", "e"}, "y"), "transB", std::int64_t{1});
}

TEST(Trained, AModelIsTrainedAndWrittenBack) {
  OnnxBuilder m({-1, 1, 8, 8});
  build(m);
  const graph::Network network = m.import();
  Spec spec;
  spec.batch = 6;
  spec.steps = 20;
  const Step step = differentiate(network, spec);
  std::vector<Example> examples;
  for (unsigned i = 0; i < 12; ++i) examples.push_back({test::random_values(64, i, 1), static_cast<int>(i % 3)});
  const auto steps = run_twin(step, spec, examples);
  EXPECT_LT(steps.back().result.loss, steps.front().result.loss);

  const auto& weights = steps.back().state.weights;
  graph::write_onnx(m.folder / "model.onnx", m.folder / "trained.onnx", new_weights(network, spec, step, weights));
  const auto& image = examples[0].image;
  const auto before = graph::evaluate(network, image), after = graph::evaluate(trained(network, step, weights), image),
             written = graph::evaluate(graph::import_onnx(m.folder / "trained.onnx"), image);
  EXPECT_GT(test::relative_error(before, after), 1e-2);
  EXPECT_LT(test::relative_error(written, after), 1e-6);
}

TEST(Trained, ANewHeadHasOtherClasses) {
  OnnxBuilder m({-1, 1, 8, 8});
  build(m);
  const graph::Network old = m.import();
  Spec spec;
  spec.batch = 5;
  spec.steps = 20;
  spec.new_head = 5;  // of 3 classes
  const graph::Network network = network_to_train(old, spec);
  EXPECT_EQ(network.output_shape(), (graph::Shape{5, 1, 1}));
  EXPECT_TRUE(network.classes.empty());
  const Step step = differentiate(network, spec);
  ASSERT_EQ(step.parameters.size(), 2u);  // the body stays
  EXPECT_EQ(step.parameters[0].initial, std::vector<double>(step.parameters[0].initial.size(), 0.0));
  std::vector<Example> examples;
  for (unsigned i = 0; i < 5; ++i) examples.push_back({test::random_values(64, i, 1), static_cast<int>(i)});
  const auto steps = run_twin(step, spec, examples);
  EXPECT_LT(steps.back().result.loss, steps.front().result.loss);
  const auto& weights = steps.back().state.weights;
  graph::write_onnx(m.folder / "model.onnx", m.folder / "trained.onnx", new_weights(old, spec, step, weights));
  const graph::Network written = graph::import_onnx(m.folder / "trained.onnx");
  EXPECT_EQ(written.output_shape(), (graph::Shape{5, 1, 1}));
  const auto& image = examples[0].image;
  EXPECT_LT(
      test::relative_error(graph::evaluate(written, image), graph::evaluate(trained(network, step, weights), image)),
      1e-6);
}

TEST(Trained, LayersThatKeepNothingOfTheModelShareNothing) {
  OnnxBuilder m({-1, 1, 8, 8});
  build(m);
  Spec spec;
  const auto names = [&] {
    std::vector<std::string> list;
    for (const graph::NewWeights& w : weights_to_train(network_to_train(m.import(), spec), spec))
      list.push_back(w.node + (w.bias ? ".bias" : ""));
    return list;
  };
  EXPECT_EQ(names(), (std::vector<std::string>{"Conv_c", "Conv_c.bias", "Gemm_y", "Gemm_y.bias"}));
  spec.new_head = 5;
  EXPECT_TRUE(names().empty());
  spec.layers = {"Conv_c"};
  EXPECT_EQ(names(), (std::vector<std::string>{"Conv_c", "Conv_c.bias"}));
  spec.layers.clear();
  spec.adapters = {{"Conv_c", 1}};
  EXPECT_TRUE(names().empty());
}

TEST(Trained, TheModelOfTheRepositoryCanBeTrained) {
  const std::filesystem::path folder = std::filesystem::path(SOTTO_SOURCE_DIR) / "models/train";
  const graph::Network network = graph::import_onnx(folder / "lenet-mnist.onnx");
  Spec spec = read_spec(folder / "mnist.toml");
  EXPECT_EQ(network.input_shape(), (graph::Shape{1, 28, 28}));
  EXPECT_EQ(network.classes.size(), 10u);
  spec.batch = 10;
  const Step step = differentiate(network, spec);
  std::vector<std::string> layers;
  std::size_t numbers = 0;
  for (const Parameter& p : step.parameters) {
    layers.push_back(p.layer);
    numbers += p.initial.size();
  }
  EXPECT_EQ(layers, (std::vector<std::string>{"conv1", "conv1", "conv2", "conv2", "fc", "fc"}));
  EXPECT_EQ(numbers, 4u * 25 + 4 + 8 * 4 * 25 + 8 + 10 * 392 + 10);
  graph::check_writable(folder / "lenet-mnist.onnx", new_weights(network, spec, step, initial_state(step).weights));
}

}  // namespace
}  // namespace sotto::training
