// A plan means the same as the network that it was compiled from, to rounding.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <set>

#include "circuit/interpret.h"
#include "compiler/compile.h"
#include "compiler/pack.h"
#include "graph/interpreter.h"
#include "graph/onnx_import.h"
#include "plan/describe.h"
#include "plan/schedule.h"
#include "plan/verify.h"
#include "support/golden.h"
#include "support/network_builder.h"
#include "support/values.h"

namespace sotto::compiler {
namespace {

using graph::Network;
using test::NetworkBuilder;

// Compiles, verifies and compares; returns the plan.
plan::Plan expect_equal(const Network& network, const Options& options = {}) {
  plan::Plan p = compile(network, options).plan;
  plan::verify(p);
  EXPECT_GE(p.batch, options.batch);
  EXPECT_EQ(p.batch, (1 << p.parameters.log_n) / (p.tile.area()));
  for (unsigned seed : {1u, 2u}) {
    const auto image = test::random_values(network.input_shape().size(), seed, 1);
    EXPECT_LT(test::relative_error(circuit::interpret(plan::view(p), image), graph::evaluate(network, image)), 1e-9)
        << graph::describe(network) << plan::describe(p);
  }
  return p;
}

TEST(RandomNetworks, MeanTheSame) {
  std::size_t deepest = 0, most_terms = 0;
  for (unsigned seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    const plan::Plan p = expect_equal(test::random_network(seed));
    deepest = std::max(deepest, p.steps.size());
    for (const plan::Step& s : p.steps) most_terms = std::max(most_terms, s.terms.size());
  }
  // The generator makes what it is meant to make.
  EXPECT_GE(deepest, 8u);
  EXPECT_GE(most_terms, 2u);
}

TEST(StructuredNetworks, MeanTheSameInEveryPacking) {
  for (unsigned seed = 1; seed <= 150; ++seed) {
    SCOPED_TRACE(seed);
    const Network network = test::structured_network(seed);
    const auto image = test::random_values(network.input_shape().size(), seed, 1);
    const auto expected = graph::evaluate(network, image);
    for (const packing::Axes& tile : {packing::Axes(1), {2, 2}, {4, 4}, {16, 16}, {1, 32}, {8, 4}}) {
      const plan::Plan p = pack(lower(network), {tile, 1 + static_cast<int>(seed % 2)});
      EXPECT_LT(test::relative_error(circuit::interpret(plan::view(p), image), expected), 1e-9)
          << "tile " << tile.h << "x" << tile.w << "\n"
          << graph::describe(network);
      EXPECT_NO_THROW((void)plan::make_schedule(p));
      std::set<int> read{p.steps.back().output};
      for (const plan::Step& s : p.steps)
        for (const plan::Term& t : s.terms) read.insert(t.source);
      for (const plan::Step& s : p.steps) EXPECT_TRUE(read.contains(s.output)) << s.name << " is computed in vain";
    }
  }
}

TEST(Golden, ImportedModelsMeanTheSame) {
  int compiled = 0;
  for (const std::string& name : test::golden_models()) {
    SCOPED_TRACE(name);
    Network network = graph::import_onnx(test::kGoldenFolder + name + ".onnx");
    // Polynomials are only close to activations.
    if (std::ranges::any_of(network.nodes,
                            [](const graph::Node& n) { return std::holds_alternative<graph::Function>(n.op); }))
      continue;
    if (std::holds_alternative<graph::Dense>(network.nodes.back().op) || network.output_shape().c <= 8) {
      expect_equal(network);
    } else {
      // Models of single operators end with a flattened map: give them a head.
      const int inputs = network.output_shape().c;
      network.nodes.push_back(
          {"head",
           graph::Dense{3, inputs, test::random_values(static_cast<std::size_t>(3 * inputs), 5, 1), {0, 1, 2}},
           {static_cast<int>(network.nodes.size()) - 1},
           {3, 1, 1}});
      expect_equal(network);
    }
    ++compiled;
  }
  EXPECT_GE(compiled, 22);
}

TEST(Squares, OnePolynomialOfALayerIsOneStep) {
  // (2 x + 1) x + 3 x + c is one square however it is written, and its two readers share it.
  NetworkBuilder b({2, 8, 8}, 1);
  const int x = b.conv(0, 2, 3, 1, 1);
  const int y = b.sum(b.affine(b.product(b.affine(x), x)), b.affine(x));
  const int z = b.sum(b.conv(y, 2, 3, 1, 1), b.conv(y, 2, 1, 1, 0));
  b.dense(b.mean(b.square(z)), 3);
  const plan::Plan p = expect_equal(b.network);
  EXPECT_EQ(p.steps.size(), 3u);
  EXPECT_EQ(p.parameters.ciphertext_primes, 3);
  EXPECT_EQ(p.steps[1].terms.size(), 2u);
}

TEST(Squares, TwoPolynomialsOfALayerAreTwoSteps) {
  NetworkBuilder b({2, 8, 8}, 2);
  const int x = b.conv(0, 2, 3, 1, 1);
  b.dense(b.mean(b.sum(b.conv(b.activation(x), 2, 1, 1, 0), b.conv(b.activation(x), 2, 1, 1, 0))), 3);
  const plan::Plan p = expect_equal(b.network);
  EXPECT_EQ(p.steps.size(), 4u) << "two squares, the sum of their layers, the head";
  EXPECT_EQ(p.parameters.ciphertext_primes, 3) << "side by side, not one after the other";
}

TEST(Squares, TheSameSquareTwiceIsOneStep) {
  NetworkBuilder b({2, 8, 8}, 3);
  const int x = b.conv(0, 2, 3, 1, 1);
  b.dense(b.mean(b.sum(b.square(x), b.square(x))), 3);
  EXPECT_EQ(expect_equal(b.network).steps.size(), 2u);
}

TEST(Squares, SquaresOfTheInput) {
  NetworkBuilder b({2, 8, 8}, 6);
  b.dense(b.mean(b.sum(b.conv(b.square(0), 2, 3, 1, 1), b.conv(0, 2, 1, 1, 0))), 2);
  expect_equal(b.network);
}

// The steps of a network that is a convolution, f and a head.
template <class F>
plan::Plan with_activation(const F& f) {
  NetworkBuilder b({2, 8, 8}, 11);
  const int x = f(b, b.conv(0, 3, 3, 1, 1));
  b.dense(b.mean(b.square(b.conv(x, 2, 3, 1, 1))), 3);
  return expect_equal(b.network);
}

int squares(const plan::Plan& p) {
  return static_cast<int>(
      std::ranges::count_if(p.steps, [](const plan::Step& s) { return s.kind == plan::Kind::square; }));
}

TEST(Powers, QuarticsAndQuadraticsOfQuadraticsAreTwoSquares) {
  const plan::Plan fourth = with_activation([](NetworkBuilder& b, int x) { return b.square(b.square(x)); });
  EXPECT_EQ(squares(fourth), 3) << "with that of the next layer";
  EXPECT_EQ(fourth.steps.size(), 4u);
  EXPECT_EQ(fourth.parameters.ciphertext_primes, 4);
  const plan::Plan twice = with_activation([](NetworkBuilder& b, int x) { return b.activation(b.activation(x)); });
  EXPECT_EQ(squares(twice), 3);
  EXPECT_EQ(twice.steps.size(), 4u);
}

TEST(Powers, CubicsTakeTwoLevels) {
  const plan::Plan p = with_activation([](NetworkBuilder& b, int x) { return b.sum(b.product(b.square(x), x), x); });
  EXPECT_EQ(p.parameters.ciphertext_primes, 4);
  EXPECT_EQ(squares(p), 4) << "x^2, two for x^2 times x, the next layer";
  EXPECT_EQ(p.steps.size(), 6u) << "x itself is divided once for all";
  with_activation(
      [](NetworkBuilder& b, int x) { return b.affine(b.product(b.affine(b.square(b.affine(x))), b.affine(x))); });
}

TEST(Powers, UpToSixteen) {
  for (int power = 3; power <= 16; ++power) {
    SCOPED_TRACE(power);
    const plan::Plan p = with_activation([&](NetworkBuilder& b, int x) {
      int y = x;
      for (int k = 1; k < power; ++k) y = b.product(y, x);
      return b.affine(y);
    });
    EXPECT_EQ(p.parameters.ciphertext_primes, 2 + std::bit_width(static_cast<unsigned>(power - 1)));
  }
}

TEST(Powers, ChannelsOfDifferentDegree) {
  NetworkBuilder b({2, 8, 8}, 12);
  const int x = b.conv(0, 6, 3, 1, 1), cube = b.affine(b.product(b.square(x), x)), square = b.affine(b.square(x)),
            line = b.affine(x);
  const auto scale = [&](int node) -> std::vector<double>& {
    return std::get<graph::ChannelAffine>(b.network.nodes[static_cast<std::size_t>(node)].op).scale;
  };
  scale(cube)[0] = scale(square)[0] = scale(cube)[1] = scale(line)[1] = 0;
  scale(cube)[2] = scale(square)[2] = scale(line)[2] = 0;
  b.dense(b.mean(b.square(b.conv(b.sum(b.sum(cube, square), line), 2, 3, 1, 1))), 3);
  expect_equal(b.network);
  // Quadratic in some channels and linear in others; in none at all.
  for (bool none : {false, true}) {
    NetworkBuilder mixed({2, 8, 8}, 13);
    const int y = mixed.conv(0, 2, 3, 1, 1), z = mixed.affine(mixed.square(y)), sum = mixed.sum(z, y);
    auto& s = std::get<graph::ChannelAffine>(mixed.network.nodes[static_cast<std::size_t>(z)].op).scale;
    s[1] = 0;
    if (none) s[0] = 0;
    mixed.dense(mixed.mean(mixed.conv(none ? z : sum, 2, 3, 1, 1)), 2);
    const plan::Plan p = expect_equal(mixed.network);
    EXPECT_EQ(squares(p), none ? 0 : 1);
  }
}

TEST(Powers, OfFunctionsAndTheInput) {
  NetworkBuilder b({2, 8, 8}, 14);
  const int x = b.product(b.square(0), 0);
  b.dense(b.flatten(b.conv(b.sum(x, 0), 2, 3, 1, 1)), 2);
  expect_equal(b.network);
}

TEST(Layers, LinearOnesInARowAreRescaled) {
  NetworkBuilder b({1, 8, 8}, 4);
  b.dense(b.dense(b.flatten(b.conv(b.conv(0, 2, 3, 1, 1), 2, 3, 1, 1)), 4), 3);
  const plan::Plan p = expect_equal(b.network);
  ASSERT_EQ(p.steps.size(), 4u);
  for (int s : {0, 1, 2}) EXPECT_EQ(p.steps[static_cast<std::size_t>(s)].kind, plan::Kind::sum);
  EXPECT_TRUE(p.steps[3].keep);
}

TEST(Layers, ConstantsMeetZeroPadding) {
  // The convolution reads a shifted square: its bias is another one along the border, where the padding stays zero.
  NetworkBuilder b({1, 6, 6}, 5);
  const int x = b.affine(b.square(b.conv(0, 2, 3, 1, 1)));
  b.dense(b.flatten(b.square(b.conv(x, 2, 3, 1, 1))), 2);
  const plan::Plan p = expect_equal(b.network);
  EXPECT_EQ(p.steps[0].bias.size(), 2u) << "uniform";
  EXPECT_EQ(p.steps[1].bias.size(), 2u * 36u) << "per pixel";
}

// Before and behind layers, of the input, of flattened maps, and beside a shortcut; they take no level.
TEST(Layers, ConstantsByPixel) {
  NetworkBuilder b({2, 6, 5}, 5);
  const int x = b.square(b.pixel_bias(b.conv(b.pixel_bias(0), 3, 3, 2, 1)));
  const int y = b.sum(b.pixel_bias(b.conv(b.pixel_bias(x), 3, 3, 1, 1)), x);
  b.dense(b.flatten(b.pixel_bias(b.square(b.pixel_bias(y)))), 4);
  const plan::Plan p = expect_equal(b.network);
  EXPECT_EQ(p.steps.size(), 3u);
  NetworkBuilder c({2, 4, 4}, 6);
  c.dense(c.pixel_bias(c.flatten(c.square(c.conv(0, 2, 3, 1, 1)))), 3);
  EXPECT_EQ(expect_equal(c.network).steps.size(), 2u);
}

TEST(Layers, ShortcutsFromTheInput) {
  NetworkBuilder b({2, 8, 8}, 6);
  const int x = b.square(b.sum(b.conv(0, 2, 3, 1, 1), 0));
  const int deep = b.conv(x, 2, 3, 1, 1);
  b.dense(b.flatten(b.sum(b.affine(0), deep)), 2);
  EXPECT_EQ(expect_equal(b.network).parameters.ciphertext_primes, 3) << "the deeper operand counts, in either place";
}

TEST(Layers, ActivationsOfScoresAndMeans) {
  NetworkBuilder b({2, 8, 8}, 7);
  const int x = b.activation(b.mean(b.activation(b.conv(0, 3, 3, 1, 1))));
  b.activation(b.dense(b.activation(b.dense(x, 4)), 3));
  expect_equal(b.network);
}

// One weight for a pair of channels: as many as pixels would be millions behind a mean over 7 x 7.
TEST(Layers, WeightsBehindAMeanAreOneForAllPixels) {
  NetworkBuilder b({2, 6, 6}, 9);
  b.dense(b.mean(b.square(b.conv(0, 3, 3, 1, 1))), 4);
  const plan::Term last = expect_equal(b.network).steps.back().terms.front();
  EXPECT_TRUE(last.even);
  EXPECT_EQ(last.weights.size(), 12u);
  NetworkBuilder c({2, 6, 6}, 9);  // a mean of some pixels of a tensor
  c.dense(c.mean(c.rearrange(c.square(c.conv(0, 3, 3, 1, 1)), {{2, 0, 1}, 2, 2}, 3, 3)), 4);
  EXPECT_FALSE(expect_equal(c.network).steps.back().terms.front().even);
}

TEST(Layers, TheMeanAlone) {
  NetworkBuilder b({3, 9, 9}, 8);
  b.mean(0);
  const plan::Plan p = expect_equal(b.network);
  EXPECT_EQ(p.steps.size(), 1u);
  EXPECT_EQ(p.parameters.ciphertext_primes, 1);
}

}  // namespace
}  // namespace sotto::compiler
