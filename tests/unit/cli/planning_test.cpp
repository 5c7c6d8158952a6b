// Which packing, or mix of packings, serves a number of images.
#include "cli/planning.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "compiler/compile.h"
#include "graph/onnx_import.h"
#include "support/expect_error.h"
#include "support/onnx_builder.h"

namespace sotto::cli {
namespace {

// Two convolutions of 32 x 32 pixels, a mean and a fully connected layer.
std::string model(test::OnnxBuilder& b) {
  b.constant("w1", {8, 3, 3, 3}, std::vector<float>(216, 1.0F / 27));
  b.constant("w2", {8, 8, 3, 3}, std::vector<float>(576, 1.0F / 72));
  std::vector<float> w3(32);  // classes that differ
  for (std::size_t k = 0; k < w3.size(); ++k) w3[k] = static_cast<float>(k % 7) - 3;
  b.constant("w3", {4, 8}, w3);
  b.constant("b3", {4}, {0, 1, 2, 3});
  b.set(b.node("Conv", {"x", "w1"}, "c1"), "pads", std::vector<std::int64_t>{1, 1, 1, 1});
  b.node("Mul", {"c1", "c1"}, "a1");
  b.set(b.node("Conv", {"a1", "w2"}, "c2"), "pads", std::vector<std::int64_t>{1, 1, 1, 1});
  b.node("Mul", {"c2", "c2"}, "a2");
  b.node("GlobalAveragePool", {"a2"}, "m");
  b.node("Flatten", {"m"}, "f");
  b.set(b.node("Gemm", {"f", "w3", "b3"}, "y"), "transB", std::int64_t{1});
  (void)b.import();
  return b.folder / "model.onnx";
}

// Predicted time of a packing with no more precision than comes for nothing, as packings are compared.
double seconds(const graph::Network& network, const plan::Plan& packing, std::size_t images) {
  const plan::Plan p = compiler::compile(network, {.batch = packing.batch, .group = packing.group()}).plan;
  const double runs = std::ceil(static_cast<double>(images) / p.batch);
  return runs * plan::estimate(p).seconds(plan::kTypicalSpeed);
}

TEST(Planning, PartsServeAllImagesAndCostLessThanOnePacking) {
  test::OnnxBuilder b({-1, 3, 32, 32});
  const std::string path = model(b);
  const graph::Network network = graph::import_onnx(path);
  bool mixed = false;
  for (int images : {1, 2, 3, 37, 64, 65, 300, 1000, 1100, 5000}) {
    const std::vector<Part> parts = make_parts({.model = path, .images = images});
    ASSERT_GE(parts.size(), 1u);
    ASSERT_LE(parts.size(), 2u);
    std::size_t sum = 0;
    double time = 0;
    for (const Part& p : parts) {
      EXPECT_GT(p.images, 0u);
      sum += p.images;
      time += seconds(network, p.plan, p.images);
    }
    EXPECT_EQ(sum, static_cast<std::size_t>(images));
    const plan::Plan alone = make_plan({.model = path, .images = images});
    EXPECT_LE(time, seconds(network, alone, sum) * (1 + 1e-9)) << images;
    if (parts.size() == 1) continue;
    mixed = true;
    EXPECT_EQ(parts[0].images % static_cast<std::size_t>(parts[0].plan.batch), 0u) << "full runs first";
    EXPECT_LT(time, seconds(network, alone, sum) * 0.96) << "a second packing is worth it";
  }
  EXPECT_TRUE(mixed);
}

TEST(Planning, NoPackingIsCheaper) {
  test::OnnxBuilder b({-1, 3, 32, 32});
  const graph::Network network = graph::import_onnx(model(b));
  std::vector<plan::Plan> others;
  for (int batch : {1, 65, 1025}) others.push_back(compiler::compile(network, {.batch = batch}).plan);
  for (int group : {2, 64}) others.push_back(compiler::compile(network, {.batch = 1, .group = group}).plan);
  for (std::size_t images : {1, 64, 4096}) {
    const plan::Plan best = make_plan({.model = b.folder / "model.onnx", .images = static_cast<int>(images)});
    for (const plan::Plan& other : others)
      EXPECT_LE(seconds(network, best, images), seconds(network, other, images) * (1 + 1e-9))
          << images << " images, batch " << other.batch << ", group " << other.group();
  }
}

TEST(Planning, MemoryThatSufficesForNothingIsRefusedWithWhatWould) {
  test::OnnxBuilder b({-1, 3, 32, 32});
  const std::string path = model(b);
  const auto refused = [&](const auto& f) {
    return test::fails_with(f, ErrorCode::no_resources, {"10.00 MiB", "needs about"});
  };
  EXPECT_TRUE(refused([&] { return make_plan({.model = path, .images = 100, .memory = "10M"}).batch; }));
  EXPECT_TRUE(refused([&] { return make_parts({.model = path, .images = 1100, .memory = "10M"}).size(); }));
}

}  // namespace
}  // namespace sotto::cli
