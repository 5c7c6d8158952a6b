// How large values get: on images, on images that were made up, and where polynomials bound them.
#include "compiler/statistics.h"

#include <gtest/gtest.h>

#include <cmath>

#include "circuit/interpret.h"
#include "compiler/compile.h"
#include "compiler/lower.h"
#include "plan/verify.h"
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

std::vector<double> largest_values(const circuit::Circuit& c, const std::vector<std::vector<double>>& list) {
  std::vector<double> largest(c.values.size());
  for (const auto& image : list)
    circuit::interpret(c, image, [&](int t, std::span<const double> v) {
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

// The largest numbers of all values.
std::vector<double> bounds_of(const circuit::Circuit& circuit, const Calibration& calibration) {
  const Statistics statistics = measure(circuit, calibration);
  std::vector<double> bounds;
  for (std::size_t t = 0; t < circuit.values.size(); ++t) bounds.push_back(statistics.largest(static_cast<int>(t)));
  return bounds;
}

std::vector<double> made_up_bounds(const graph::Network& network) {
  return bounds_of(lower(network), made_up_calibration(interface_of(network)));
}

TEST(Statistics, LargestValuesOnImagesAndRoom) {
  const circuit::Circuit p = lower(squares());
  const auto list = images(128, 5);
  const std::vector<double> bounds = bounds_of(p, calibration_from(list));
  const auto largest = largest_values(p, list);
  ASSERT_EQ(bounds.size(), p.values.size());
  for (std::size_t t = 0; t < bounds.size(); ++t) EXPECT_DOUBLE_EQ(bounds[t], 1.5 * largest[t]) << t;
}

// Of one channel: mean square and largest value are what the interpreter shows, the gradient is what a small change of
// all its values does to the scores, squared and summed.
TEST(Statistics, OfChannels) {
  const graph::Network network = squares();
  const circuit::Circuit p = lower(network);
  const auto image = images(128, 1);
  const Statistics statistics = measure(p, calibration_from(image));
  const int tensor = p.ops[0].output;
  const std::size_t plane = p.value(tensor).shape.plane();
  std::vector<double> values;
  const auto exact = circuit::interpret(p, image[0], [&](int t, std::span<const double> v) {
    if (t == tensor) values.assign(v.begin(), v.end());
  });
  for (std::size_t c = 0; c < 2; ++c) {
    double squares = 0;
    for (std::size_t k = c * plane; k < (c + 1) * plane; ++k) squares += values[k] * values[k];
    const ChannelStatistics& of = statistics.values[static_cast<std::size_t>(tensor)][c];
    EXPECT_NEAR(of.mean_square, squares / static_cast<double>(plane), 1e-9 * of.mean_square);
    EXPECT_GT(of.largest, 0);
  }
  // Random signs stand for all scores: with one score both are the same.
  NetworkBuilder one({1, 4, 4}, 5);
  one.dense(one.mean(one.square(one.conv(0, 2, 3, 1, 1))), 1);
  const circuit::Circuit q = lower(one.network);
  const auto x = images(16, 1);
  const Statistics of_one = measure(q, calibration_from(x));
  double sum = 0;
  for (std::size_t k = 0; k < 16; ++k) {
    auto changed = x[0];
    changed[k] += 1e-5;
    sum += std::pow((circuit::interpret(q, changed)[0] - circuit::interpret(q, x[0])[0]) / 1e-5, 2);
  }
  EXPECT_NEAR(of_one.values[0][0].gradient, sum, 1e-3 * sum);
}

TEST(Statistics, MomentsOfChannelsAndNeighbours) {
  NetworkBuilder b({2, 1, 3}, 6);
  b.dense(b.mean(b.square(b.conv(0, 2, 3, 1, 1))), 1);
  const Statistics s = measure(lower(b.network), calibration_from({{1, 2, 3, -1, 0, 1}}));
  const plan::Moments& m = s.moments[0];
  EXPECT_EQ(m.reach, 2);
  ASSERT_EQ(m.channels.size(), 4u);
  EXPECT_DOUBLE_EQ(m.channels[0], 14.0 / 3);
  EXPECT_DOUBLE_EQ(m.channels[1], 2.0 / 3);
  EXPECT_DOUBLE_EQ(m.channels[3], 2.0 / 3);
  EXPECT_DOUBLE_EQ(m.correlation(0, 0, 9), 1);
  EXPECT_DOUBLE_EQ(m.correlation(0, 1, 9), 8.0 / 16) << "1*2 + 2*3 and -1*0 + 0*1 over the squares";
  EXPECT_DOUBLE_EQ(m.correlation(0, -1, 9), 8.0 / 16);
  EXPECT_DOUBLE_EQ(m.correlation(1, 0, 9), 0) << "there is one row";
  EXPECT_DOUBLE_EQ(m.correlation(3, 0, 9), 9) << "beyond the reach";
}

TEST(Statistics, WithoutImagesMadeUpOnesLeaveMoreRoom) {
  graph::Network network = squares();
  network.mean = {0.4, 0.5};
  network.std = {0.2, 0.25};
  const circuit::Circuit p = lower(network);
  const std::vector<double> bounds = made_up_bounds(network);
  EXPECT_EQ(bounds, made_up_bounds(network)) << "always the same images";
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

TEST(Statistics, ActivationsHaveTheirRanges) {
  const circuit::Circuit p = lower(relus(16));
  const auto list = images(128, 3);
  for (const auto& bounds : {made_up_bounds(relus(16)), bounds_of(p, calibration_from(list))}) {
    int found = 0;
    for (const circuit::Op& s : p.ops) {
      if (s.kind != circuit::Op::Kind::activate) continue;
      const double range = found++ == 0 ? 16 : 32;
      EXPECT_EQ(bounds[static_cast<std::size_t>(s.output)], range);
      EXPECT_EQ(bounds[static_cast<std::size_t>(s.terms[0].source)], range);
    }
    EXPECT_EQ(found, 2);
  }
  EXPECT_DOUBLE_EQ(bounds_of(p, calibration_from(list))[0], 1.5 * largest_values(p, list)[0]);
}

TEST(Statistics, TensorsOfZeros) {
  NetworkBuilder b({1, 4, 4}, 1);
  b.dense(b.mean(b.square(b.conv(0, 2, 3, 1, 1))), 2);
  auto& conv = std::get<graph::Conv2d>(b.network.nodes[1].op);
  conv.weights.assign(conv.weights.size(), 0);
  conv.bias.assign(conv.bias.size(), 0);
  const Compiled compiled = compile(b.network, {});
  EXPECT_NO_THROW(plan::verify(compiled.plan));
  EXPECT_TRUE(std::isfinite(compiled.score_error));
}

}  // namespace
}  // namespace sotto::compiler
