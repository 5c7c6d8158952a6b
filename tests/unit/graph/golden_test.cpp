// Imported models against what ONNX Runtime computed from the same files (tests/golden/graph/make_goldens.py).
#include "support/golden.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "graph/calibrate.h"
#include "graph/interpreter.h"
#include "graph/onnx_import.h"
#include "support/values.h"

namespace sotto::graph {
namespace {

using Values = std::vector<double>;

// Names of the ONNX files of a folder without their suffix, sorted.
std::vector<std::string> models_in(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == ".onnx") names.push_back(entry.path().stem());
  std::sort(names.begin(), names.end());
  return names;
}

class Golden : public ::testing::TestWithParam<std::string> {};

TEST_P(Golden, AgreesWithOnnxRuntime) {
  const auto golden = test::read_golden(GetParam());
  const Network network = import_onnx(test::kGoldenFolder + GetParam() + ".onnx");
  const auto input = golden.at("input").get<Values>();
  EXPECT_EQ(network.name, GetParam() + ".onnx");
  EXPECT_LT(test::relative_error(evaluate(network, input), golden.at("output").get<Values>()), 1e-4);
  if (golden.contains("pytorch")) {
    EXPECT_LT(test::relative_error(evaluate(network, input), golden.at("pytorch").get<Values>()), 1e-4);
  }
  // The yardstick itself: another input must not agree.
  const Values other(golden.at("input").size(), 1.0);
  EXPECT_GT(test::relative_error(evaluate(network, other), golden.at("output").get<Values>()), 1e-2);
}

INSTANTIATE_TEST_SUITE_P(Models, Golden, ::testing::ValuesIn(test::golden_models()),
                         [](const auto& model) { return model.param; });

TEST(Golden, NoModelIsForgotten) {
  std::vector<std::string> named = test::golden_models();
  std::sort(named.begin(), named.end());
  EXPECT_EQ(models_in(test::kGoldenFolder), named);
}

TEST(Golden, RangesOfTheExportedRelus) {
  const auto golden = test::read_golden("relu_resnet");
  const Network network = import_onnx(test::kGoldenFolder + "relu_resnet.onnx");
  const auto all = magnitudes(network, {golden.at("input").get<Values>()});
  Values measured;
  for (const Node& n : network.nodes)
    if (std::holds_alternative<Function>(n.op)) measured.push_back(all[static_cast<std::size_t>(n.inputs[0])].front());
  EXPECT_LT(test::relative_error(measured, golden.at("relu_ranges").get<Values>()), 1e-5);
  double expected = 0;
  for (const Node& n : network.nodes) {
    const auto* relu = std::get_if<Function>(&n.op);
    if (relu != nullptr) {
      EXPECT_EQ(relu->range, ++expected) << n.name;
    }
  }
  EXPECT_EQ(expected, 7);
}

void expect_golden_scores(const Network& network, const nlohmann::json& golden) {
  std::vector<Values> images;
  for (Values image : golden.at("pixels").get<std::vector<Values>>()) {
    ASSERT_EQ(image.size(), network.input_shape().size());
    const std::size_t plane = image.size() / network.mean.size();
    for (std::size_t i = 0; i < image.size(); ++i)
      image[i] = (image[i] / 255 - network.mean.at(i / plane)) / network.std.at(i / plane);
    images.push_back(std::move(image));
  }
  ASSERT_GE(images.size(), 2u);
  const auto scores = golden.at("output").get<std::vector<Values>>();
  const auto exact = golden.at("pytorch").get<std::vector<Values>>();
  std::size_t reported = 0;
  const auto computed = evaluate_all(network, images, [&](std::size_t done) { reported = done; });
  for (std::size_t i = 0; i < images.size(); ++i) {
    EXPECT_LT(test::relative_error(computed[i], scores.at(i)), 1e-4) << i;
    EXPECT_LT(test::relative_error(computed[i], exact.at(i)), 1e-9) << i;
  }
  EXPECT_GT(test::relative_error(computed[0], scores[1]), 1e-2) << "pictures that all score alike test nothing";
  EXPECT_EQ(reported, images.size());
}

// Looks into models/ when it runs, not when it is built: a model that is added without its golden file fails.
TEST(Golden, ShippedModelsAgreeWithOnnxRuntimeAndPyTorch) {
  const std::string folder = SOTTO_SOURCE_DIR "/models/";
  const auto names = models_in(folder);
  EXPECT_FALSE(names.empty());
  for (const std::string& name : names) {
    SCOPED_TRACE(name);
    const Network network = import_onnx(folder + name + ".onnx");
    EXPECT_EQ(network.classes.size(), network.output_shape().size());
    if (std::filesystem::exists(test::kGoldenFolder + name + ".json")) {
      expect_golden_scores(network, test::read_golden(name));
    } else {
      ADD_FAILURE() << "it has no golden file: run tests/golden/graph/make_goldens.py";
    }
  }
}

}  // namespace
}  // namespace sotto::graph
