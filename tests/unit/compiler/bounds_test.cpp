// How large values get: on images, on images that were made up, and where polynomials bound them.
#include "compiler/bounds.h"

#include <gtest/gtest.h>

#include <cmath>

#include "compiler/compile.h"
#include "compiler/lower.h"
#include "plan/interpret.h"
#include "support/network_builder.h"
#include "support/values.h"

namespace sotto::compiler {
namespace {

using test::NetworkBuilder;

std::vector<std::vector<double>> images(std::size_t size, int count) {
  std::vector<std::vector<double>> out;
  for (int k = 0; k < count; ++k) out.push_back(test::random_values(size, 10 + static_cast<unsigned>(k), 1 + k));
  return out;
}

std::vector<double> largest_values(const plan::Plan& p, const std::vector<std::vector<double>>& list) {
  std::vector<double> largest(p.tensors.size());
  for (const auto& image : list)
    plan::interpret(p, image, [&](int t, std::span<const double> v) {
      for (double x : v)
        largest[static_cast<std::size_t>(t)] = std::max(largest[static_cast<std::size_t>(t)], std::abs(x));
    });
  return largest;
}

graph::Network squares() {
  NetworkBuilder b({2, 8, 8}, 3);
  b.dense(b.mean(b.activation(b.conv(b.activation(b.conv(0, 3, 3, 1, 1)), 3, 3, 2, 1))), 3);
  return b.network;
}

graph::Network relus(double range) {
  NetworkBuilder b({2, 8, 8}, 4);
  const int x = b.relu(b.conv(0, 3, 3, 1, 1), range), y = b.relu(b.conv(x, 3, 3, 2, 1), 2 * range);
  b.dense(b.mean(y), 3);
  return b.network;
}

TEST(Bounds, AreTheLargestValuesOnImagesAndRoom) {
  const plan::Plan p = lower(squares(), 8, 1);
  const auto list = images(128, 5);
  const Bounds bounds = measure_bounds(p, list);
  const auto largest = largest_values(p, list);
  ASSERT_EQ(bounds.size(), p.tensors.size());
  for (std::size_t t = 0; t < bounds.size(); ++t) EXPECT_DOUBLE_EQ(bounds[t], 1.5 * largest[t]) << t;
}

TEST(Bounds, WithoutImagesMadeUpOnesLeaveMoreRoom) {
  graph::Network network = squares();
  network.mean = {0.4, 0.5};
  network.std = {0.2, 0.25};
  const plan::Plan p = lower(network, 8, 1);
  const Bounds bounds = measure_bounds(p, {});
  EXPECT_EQ(bounds, measure_bounds(p, {})) << "always the same images";
  // Pictures with pixels in [0, 1], of one colour, black, white and noise.
  std::vector<std::vector<double>> list;
  for (int k = 0; k < 20; ++k) {
    auto v = test::random_values(128, 50 + static_cast<unsigned>(k), 0.5);
    for (std::size_t i = 0; i < v.size(); ++i) {
      const std::size_t c = i / 64;
      const double pixel = k == 0 ? 0 : k == 1 ? 1 : k < 10 ? k / 10.0 : 0.5 + v[i];
      v[i] = (pixel - network.mean[c]) / network.std[c];
    }
    list.push_back(std::move(v));
  }
  const auto largest = largest_values(p, list);
  for (std::size_t t = 0; t < bounds.size(); ++t) {
    EXPECT_GT(bounds[t], largest[t]) << t;
    EXPECT_LT(bounds[t], 20 * largest[t]) << t;
  }
}

TEST(Bounds, ActivationsHaveTheirRanges) {
  const plan::Plan p = lower(relus(16), 8, 1);
  const auto list = images(128, 3);
  for (const Bounds& bounds : {measure_bounds(p, {}), measure_bounds(p, list)}) {
    int found = 0;
    for (const plan::Step& s : p.steps) {
      if (s.finish != plan::Step::Finish::activate) continue;
      const double range = found++ == 0 ? 16 : 32;
      EXPECT_EQ(bounds[static_cast<std::size_t>(s.output)], range);
      EXPECT_EQ(bounds[static_cast<std::size_t>(s.terms[0].source)], range);
    }
    EXPECT_EQ(found, 2);
  }
  EXPECT_EQ(measure_bounds(p, {})[0], 32) << "not run without images";
  EXPECT_DOUBLE_EQ(measure_bounds(p, list)[0], 1.5 * largest_values(p, list)[0]);
}

TEST(Bounds, TensorsOfZeros) {
  NetworkBuilder b({1, 4, 4}, 1);
  b.dense(b.mean(b.square(b.conv(0, 2, 3, 1, 1))), 2);
  auto& conv = std::get<graph::Conv2d>(b.network.nodes[1].op);
  conv.weights.assign(conv.weights.size(), 0);
  conv.bias.assign(conv.bias.size(), 0);
  for (double bound : measure_bounds(lower(b.network, 4, 1), {})) EXPECT_GT(bound, 0);
}

TEST(Bounds, HoldForEveryPacking) {
  const auto list = images(128, 2);
  for (const graph::Network& network : {squares(), relus(8)}) {
    const Bounds bounds = bounds_of(network, list);
    for (const auto& [tile, group] : {std::pair(8, 1), std::pair(2, 1), std::pair(8, 4)}) {
      const Bounds packed = measure_bounds(lower(network, tile, group), list);
      ASSERT_EQ(packed.size(), bounds.size());
      for (std::size_t t = 0; t < bounds.size(); ++t) EXPECT_DOUBLE_EQ(packed[t], bounds[t]);
    }
  }
}

}  // namespace
}  // namespace sotto::compiler
