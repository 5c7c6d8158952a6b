// Imported models against what ONNX Runtime computed from the same files (tests/golden/graph/make_goldens.py).
#include "support/golden.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "graph/interpreter.h"
#include "graph/onnx_import.h"
#include "support/values.h"

namespace sotto::graph {
namespace {

using Values = std::vector<double>;

class Golden : public ::testing::TestWithParam<std::string> {};

TEST_P(Golden, AgreesWithOnnxRuntime) {
  const auto golden = test::read_golden(GetParam());
  const Network network = import_onnx(test::kGoldenFolder + GetParam() + ".onnx");
  EXPECT_EQ(network.name, GetParam() + ".onnx");
  EXPECT_LT(
      test::relative_error(evaluate(network, golden.at("input").get<Values>()), golden.at("output").get<Values>()),
      1e-4);
  // The yardstick itself: another input must not agree.
  const Values other(golden.at("input").size(), 1.0);
  EXPECT_GT(test::relative_error(evaluate(network, other), golden.at("output").get<Values>()), 1e-2);
}

INSTANTIATE_TEST_SUITE_P(Models, Golden, ::testing::ValuesIn(test::golden_models()),
                         [](const auto& model) { return model.param; });

TEST(Golden, NoModelIsForgotten) {
  std::vector<std::string> found, named = test::golden_models();
  for (const auto& entry : std::filesystem::directory_iterator(test::kGoldenFolder))
    if (entry.path().extension() == ".onnx") found.push_back(entry.path().stem());
  std::sort(found.begin(), found.end());
  std::sort(named.begin(), named.end());
  EXPECT_EQ(found, named);
}

TEST(Golden, ResNet20OnSyntheticPictures) {
  const auto golden = test::read_golden("resnet20-cifar10");
  const Network network = import_onnx(SOTTO_SOURCE_DIR "/models/resnet20-cifar10.onnx");
  ASSERT_EQ(network.input_shape(), (Shape{3, 32, 32}));
  ASSERT_EQ(network.output_shape(), (Shape{10, 1, 1}));
  EXPECT_EQ(network.classes.at(9), "truck");
  std::vector<Values> images, scores = golden.at("output").get<std::vector<Values>>();
  for (Values image : golden.at("pixels").get<std::vector<Values>>()) {
    for (std::size_t i = 0; i < image.size(); ++i)
      image[i] = (image[i] / 255 - network.mean.at(i / 1024)) / network.std.at(i / 1024);
    images.push_back(std::move(image));
  }
  ASSERT_EQ(images.size(), 4u);
  std::size_t reported = 0;
  const auto computed = evaluate_all(network, images, [&](std::size_t done) { reported = done; });
  for (std::size_t i = 0; i < images.size(); ++i) EXPECT_LT(test::relative_error(computed[i], scores[i]), 1e-4) << i;
  EXPECT_GT(test::relative_error(computed[0], scores[1]), 1e-2) << "pictures that all score alike test nothing";
  EXPECT_EQ(reported, 0u) << "progress comes every 16 images";
}

}  // namespace
}  // namespace sotto::graph
