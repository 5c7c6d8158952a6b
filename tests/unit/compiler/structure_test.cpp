// Joined, rearranged and sparse layers: what they mean is tested in equivalence_test.cpp; here, what they cost.
#include <gtest/gtest.h>

#include "circuit/gradient.h"
#include "circuit/interpret.h"
#include "circuit/term.h"
#include "compiler/compile.h"
#include "graph/interpreter.h"
#include "packing/lay_out.h"
#include "plan/plan_file.h"
#include "plan/simulation.h"
#include "plan/verify.h"
#include "support/depths.h"
#include "support/expect_error.h"
#include "support/network_builder.h"
#include "support/values.h"

namespace sotto::compiler {
namespace {

using graph::Rearrange;
using test::depths;
using test::NetworkBuilder;

// A lowered network that means the same.
circuit::Circuit lowered(const NetworkBuilder& b) {
  circuit::Circuit p = lower(b.network);
  const auto image = test::random_values(b.network.input_shape().size(), 1, 1);
  EXPECT_LT(test::relative_error(circuit::interpret(p, image), graph::evaluate(b.network, image)), 1e-9)
      << graph::describe(b.network);
  return p;
}

TEST(Linear, NetworksKeepTheirInput) {
  NetworkBuilder dense({3, 6, 6}, 1), mean({3, 6, 6}, 2), pool({3, 6, 6}, 3), two({3, 6, 6}, 4), flat({9, 1, 1}, 5);
  dense.dense(dense.flatten(0), 4);
  mean.mean(mean.conv(0, 4, 3, 1, 1));
  pool.dense(pool.flatten(pool.pool(0, 2, 2, 0)), 4);
  two.dense(two.dense(two.flatten(0), 5), 3);
  flat.dense(0, 4);
  for (const NetworkBuilder* b : {&dense, &mean, &pool, &two, &flat}) {
    for (int group : {1, 4}) {
      const plan::Plan p = compile(b->network, {.batch = 1, .group = group}).plan;
      for (unsigned seed : {1u, 2u, 3u}) {
        const auto image = test::random_values(b->network.input_shape().size(), seed, 1);
        EXPECT_LT(test::relative_error(plan::simulate(p, std::vector<std::vector<double>>{image}, seed).scores.front(),
                                       graph::evaluate(b->network, image)),
                  0.02)
            << "group " << group << "\n"
            << graph::describe(b->network);
      }
    }
  }
}

// Factors take no level of their own: a product takes one, as a square does; a gate is masked before it is spread.
TEST(Products, TakeALevel) {
  NetworkBuilder two({2, 8, 8}, 1), gate({2, 8, 8}, 2);
  two.dense(two.mean(two.product(two.conv(0, 3, 3, 1, 1), two.conv(0, 3, 1, 1, 0))), 3);
  EXPECT_EQ(depths(lowered(two)), (std::vector<int>{0, 0, 0, 1}));
  gate.dense(gate.mean(gate.product(gate.square(gate.conv(0, 3, 3, 1, 1)), gate.mean(0))), 3);
  EXPECT_EQ(depths(lowered(gate)), (std::vector<int>{0, 0, 1, 1, 2, 2, 3}));
}

// What the compiler promises of them is what the simulated run does, also where the factors differ by orders.
TEST(Products, AreAsExactAsPredicted) {
  for (double size : {1.0, 1e-3, 1e3}) {
    for (int group : {1, 4}) {
      NetworkBuilder b({2, 8, 8}, 1);
      const int x = b.square(b.conv(0, 4, 3, 1, 1)), y = b.conv(x, 4, 3, 1, 1);
      for (double& w : std::get<graph::Conv2d>(b.network.nodes[static_cast<std::size_t>(y)].op).weights) w *= size;
      b.dense(b.mean(b.square(b.conv(b.excite(b.product(x, y), 2), 3, 3, 2, 1))), 3);
      const Compiled c = compile(b.network, {.batch = 1, .group = group, .score_error = 1e-3});
      const auto image = test::random_values(128, 3, 1);
      const std::vector<double> exact = graph::evaluate(b.network, image);
      EXPECT_LT(test::relative_error(circuit::interpret(plan::view(c.plan), image), exact), 1e-9);
      double squares = 0, scores = 0;
      for (unsigned seed = 1; seed <= 8; ++seed) {
        const auto noisy = plan::simulate(c.plan, std::vector<std::vector<double>>{image}, seed).scores.front();
        for (std::size_t k = 0; k < exact.size(); ++k, ++scores) squares += std::pow(noisy[k] - exact[k], 2);
      }
      const double error = std::sqrt(squares / scores);
      EXPECT_LT(error, 4 * c.score_error) << "size " << size << ", group " << group;
      if (group == 1) {  // with groups it is a bound only
        EXPECT_GT(error, c.score_error / 30) << "size " << size;
      }
    }
  }
}

// The variance of a map's pixels, of dark images beside bright ones: what the sum over a map leaves of neighbours in
// other slots must not reach the mean that is spread.
TEST(Products, DoNotMixNeighbours) {
  NetworkBuilder b({1, 8, 8}, 1);
  const int x = b.conv(0, 3, 3, 1, 1), mean = b.mean(x);
  const graph::Shape shape = b.shape(x);
  auto& nodes = b.network.nodes;
  nodes.push_back({"ones", graph::ChannelAffine{{0, 0, 0}, {1, 1, 1}}, {x}, shape});
  nodes.push_back({"minus", graph::ChannelAffine{{-1, -1, -1}, {0, 0, 0}}, {mean}, {3, 1, 1}});
  const int count = static_cast<int>(nodes.size());
  b.dense(b.mean(b.square(b.sum(x, b.product(count - 2, count - 1)))), 3);
  std::vector<std::vector<double>> images;
  for (unsigned k = 0; k < 8; ++k) {
    images.push_back(test::random_values(64, k, 0.05));
    for (double& v : images.back()) v += k % 2 == 0 ? 0.1 : 0.9;
  }
  const plan::Plan p = compile(measured_circuit(b.network, calibration_from(images)), {.score_error = 1e-6}).plan;
  ASSERT_GT(p.batch, 1);
  const plan::Simulated together = plan::simulate(p, images, 1);
  double beside = 0, alone = 0;
  for (std::size_t k = 0; k < images.size(); ++k) {
    const auto exact = graph::evaluate(b.network, images[k]);
    const auto by_itself = plan::simulate(p, std::vector<std::vector<double>>{images[k]}, 1).scores.front();
    for (std::size_t s = 0; s < exact.size(); ++s) {
      beside += std::pow(together.scores[k][s] - exact[s], 2);
      alone += std::pow(by_itself[s] - exact[s], 2);
    }
  }
  EXPECT_LT(std::sqrt(beside / alone), 3);
}

// Plans with products go through their files and are refused where a product cannot be what it says.
TEST(Products, InPlanFiles) {
  NetworkBuilder b({2, 8, 8}, 2);
  b.dense(b.mean(b.excite(b.square(b.conv(0, 3, 3, 1, 1)), 2)), 3);
  for (int group : {1, 4}) {
    const plan::Plan good = compile(b.network, {.batch = 1, .group = group}).plan;
    Bytes bytes;
    plan::write_plan(Sink(bytes), good);
    const plan::Plan back = plan::read_plan(Source(bytes));
    EXPECT_EQ(back.id, good.id);
    const auto image = test::random_values(128, 1, 1);
    EXPECT_EQ(circuit::interpret(plan::view(back), image), circuit::interpret(plan::view(good), image));
    const auto product = static_cast<std::size_t>(
        std::ranges::find(good.steps, plan::Kind::multiply, &plan::Step::kind) - good.steps.begin());
    const auto refused = [&](const char* word, const std::function<void(plan::Plan&, plan::Step&)>& change) {
      plan::Plan p = good;
      change(p, p.steps[product]);
      return test::fails_with([&] { plan::verify(p); }, ErrorCode::bad_input, {word});
    };
    EXPECT_TRUE(refused("keep their level", [&](plan::Plan& p, plan::Step&) { p.steps[product - 1].keep = false; }));
    EXPECT_TRUE(refused("do not lie alike", [&](plan::Plan& p, plan::Step&) { p.steps[product - 1].spread = false; }));
    EXPECT_TRUE(refused("is spread", [&](plan::Plan& p, plan::Step&) { p.steps[product - 2].spread = true; }));
    EXPECT_TRUE(refused("is spread", [&](plan::Plan& p, plan::Step&) {
      p.steps[product - 1].terms.front().kind = circuit::Term::Kind::full;
    }));
    EXPECT_TRUE(refused("layer", [](plan::Plan&, plan::Step& s) { s.terms.pop_back(); }));
    EXPECT_TRUE(refused("copy", [](plan::Plan&, plan::Step& s) { s.terms.front().weights = {1}; }));
    EXPECT_TRUE(refused("layer", [](plan::Plan&, plan::Step& s) { s.terms.back().source = s.output; }));
    EXPECT_TRUE(refused(
        "scale", [](plan::Plan& p, plan::Step& s) { p.tensors[static_cast<std::size_t>(s.output)].scale *= 2; }));
    EXPECT_TRUE(refused("key list", [](plan::Plan& p, plan::Step&) { p.keys.keys.pop_back(); }));
  }
}

// A gate that was closed on all images may open on others: its product is then as large as its factors are.
TEST(Products, ThatVanishLeaveRoomForTheirFactors) {
  for (const auto& bias : {std::vector<double>{0, 1e-12, 1}, std::vector<double>{0, 0, 0}}) {
    NetworkBuilder b({2, 8, 8}, 1);
    const int x = b.square(b.conv(0, 3, 3, 1, 1)), gate = b.conv(b.mean(x), 3, 1, 1, 0);
    auto& closed = std::get<graph::Conv2d>(b.network.nodes[static_cast<std::size_t>(gate)].op);
    closed.weights.assign(closed.weights.size(), 0);
    closed.bias = bias;
    b.dense(b.mean(b.square(b.conv(b.product(x, gate), 3, 3, 1, 1))), 3);
    const Calibration calibration = made_up_calibration(interface_of(b.network));
    const plan::Plan p = compile(measured_circuit(b.network, calibration), {.batch = 1}).plan;
    const circuit::Trace run = circuit::trace(plan::view(p), calibration.images.front());
    for (const plan::Step& s : p.steps) {
      if (!s.keep || s.output == p.steps.back().output) continue;
      double largest = 0x1p-300;
      for (double v : run.values[static_cast<std::size_t>(s.output)]) largest = std::max(largest, std::abs(v));
      EXPECT_LT(std::log2(largest * s.scale), 48 * s.level.limbs - 1) << s.name;
    }
  }
}

TEST(Concat, OfActivationsIsReadWithoutAStep) {
  NetworkBuilder b({2, 8, 8}, 1);
  const int squeeze = b.activation(b.conv(0, 3, 1, 1, 0));
  const int fire = b.concat({b.activation(b.conv(squeeze, 4, 1, 1, 0)), b.activation(b.conv(squeeze, 4, 3, 1, 1))});
  b.dense(b.mean(b.activation(b.conv(fire, 3, 1, 1, 0))), 3);
  const circuit::Circuit p = lowered(b);
  EXPECT_EQ(depths(p), (std::vector<int>{0, 1, 1, 2, 3}));
  EXPECT_EQ(p.ops[3].terms.size(), 2u);
}

TEST(Concat, IsActivatedInOneStep) {
  NetworkBuilder b({2, 8, 8}, 1);
  const int x = b.square(b.conv(0, 3, 3, 1, 1));
  const int fire = b.activation(b.concat({b.conv(x, 4, 1, 1, 0), b.conv(x, 5, 3, 1, 1), x}));
  b.dense(b.mean(fire), 3);
  const circuit::Circuit p = lowered(b);
  EXPECT_EQ(depths(p), (std::vector<int>{0, 1, 2}));
  ASSERT_EQ(p.ops[1].terms.size(), 3u);
  EXPECT_EQ(p.ops[1].terms[0].blocks, (std::vector<circuit::Block>{{0, 4, 0, 3}}));
  EXPECT_EQ(p.ops[1].terms[1].blocks, (std::vector<circuit::Block>{{4, 5, 0, 3}}));
  EXPECT_EQ(p.ops[1].terms[2].weights.size(), 3u);
}

TEST(Concat, DenseConnectionsTakeOneLevelPerLayer) {
  NetworkBuilder b({2, 8, 8}, 1);
  std::vector<int> layers{b.conv(0, 4, 3, 1, 1)};
  for (int k = 0; k < 5; ++k)
    layers.push_back(b.conv(b.activation(layers.size() == 1 ? layers[0] : b.concat(layers)), 3, 3, 1, 1));
  b.dense(b.mean(b.activation(b.concat(layers))), 3);
  const circuit::Circuit p = lowered(b);
  int deepest = 0;
  std::size_t weights = 0;
  for (const int depth : depths(p)) deepest = std::max(deepest, depth);
  for (const circuit::Op& s : p.ops) {
    for (const circuit::Term& t : s.terms) weights = std::max(weights, t.weights.size());
  }
  EXPECT_EQ(deepest, 6);
  // Every earlier layer is read as a value, only the last one is computed in the op of the activation.
  for (const circuit::Op& s : p.ops) {
    int kernels = 0;
    for (const circuit::Term& t : s.terms) kernels += t.kernel_h > 1;
    EXPECT_LE(kernels, 1) << s.name;
  }
}

TEST(Rearrange, ShortcutWithoutWeightsIsATerm) {
  NetworkBuilder b({2, 8, 8}, 1);
  const int x = b.square(b.conv(0, 4, 3, 1, 1));
  const int shortcut = b.rearrange(x, {{-1, 0, 1, 2, 3, -1}, 2, 2, 0, 0}, 4, 4);
  b.dense(b.mean(b.square(b.sum(b.conv(x, 6, 3, 2, 1), shortcut))), 3);
  const circuit::Circuit p = lowered(b);
  EXPECT_EQ(depths(p), (std::vector<int>{0, 1, 2}));
  ASSERT_EQ(p.ops[1].terms.size(), 2u);
  const circuit::Term& t = p.ops[1].terms[1];
  EXPECT_EQ(t.weights.size(), 4u);
  EXPECT_EQ(t.stride_h, 2);
}

TEST(Rearrange, SlicesAndShufflesFoldIntoLayers) {
  NetworkBuilder b({2, 8, 8}, 1);
  const int x = b.square(b.conv(0, 8, 3, 1, 1));
  const int shuffled = b.rearrange(x, {{0, 4, 1, 5, 2, 6, 3, 7}}, 8, 8);
  const int half = b.rearrange(shuffled, {{4, 5, 6, 7}}, 8, 8),
            cut = b.rearrange(half, {{0, 1, 2, 3}, 1, 1, -2, -3}, 5, 5);
  b.dense(b.mean(b.square(b.conv(cut, 4, 3, 2, 0, 2))), 3);
  const circuit::Circuit p = lowered(b);
  EXPECT_EQ(depths(p), (std::vector<int>{0, 1, 2}));
  ASSERT_EQ(p.ops[1].terms.size(), 1u);
  EXPECT_EQ(p.ops[1].terms[0].weights.size(), 2u * 4u * 9u);
  EXPECT_EQ(p.ops[1].terms[0].pad_left, -3);
}

TEST(Rearrange, PaddingMustNotMeetWhatACropCutOff) {
  NetworkBuilder b({2, 8, 8}, 1);
  const int cut = b.rearrange(b.square(b.conv(0, 4, 3, 1, 1)), {{0, 1, 2, 3}, 1, 1, -2, -2}, 4, 4);
  b.dense(b.mean(b.square(b.conv(cut, 4, 3, 1, 1))), 3);
  EXPECT_EQ(depths(lowered(b)), (std::vector<int>{0, 1, 2, 3})) << "one step to forget the pixels";
}

TEST(Rearrange, OfALayerIsComputedOnlyWhereItIsKept) {
  NetworkBuilder b({2, 8, 8}, 1);
  const int x = b.rearrange(b.conv(0, 9, 3, 1, 1), {{7, -1, 2}, 2, 2, 1, 1}, 5, 5);
  b.dense(b.mean(b.square(x)), 3);
  const circuit::Circuit p = lowered(b);
  EXPECT_EQ(depths(p), (std::vector<int>{0, 1}));
  EXPECT_EQ(p.ops[0].terms[0].weights.size(), 2u * 2u * 9u);
  EXPECT_EQ(p.ops[0].terms[0].map.size(), 25u) << "the border of zeros";
}

TEST(Sparse, LayersHoldTheirOwnWeights) {
  NetworkBuilder b({4, 8, 8}, 1);
  const int x = b.square(b.conv(0, 32, 3, 1, 1, 4));
  const int y = b.square(b.conv(x, 32, 3, 1, 2, 32, 2));
  b.mean(b.pool(y, 3, 2, 1));
  const circuit::Circuit p = lowered(b);
  EXPECT_EQ(p.ops[0].terms[0].weights.size(), 32u * 9u);
  EXPECT_EQ(p.ops[1].terms[0].weights.size(), 32u * 9u);
  EXPECT_EQ(p.ops[1].terms[0].dilation_w, 2);
  EXPECT_EQ(p.ops[2].terms[0].weights.size(), 32u * 9u);
  EXPECT_EQ(p.ops[3].terms[0].weights.size(), 32u) << "a mean: one for all pixels of a channel";
}

TEST(Pools, LeavePadsOutByAMapOfFactors) {
  NetworkBuilder b({2, 8, 8}, 1);
  graph::AveragePool pool{3, 3, 2, 2, 1, 1, 0, 0, false};
  b.dense(b.flatten(b.pool(b.square(b.conv(0, 3, 3, 1, 1)), pool)), 3);
  const circuit::Circuit p = lowered(b);
  const auto& map = p.ops[1].terms[0].map;
  ASSERT_EQ(map.size(), 16u);
  EXPECT_DOUBLE_EQ(map[0], 9.0 / 4);
  EXPECT_DOUBLE_EQ(map[1], 9.0 / 6);
  EXPECT_DOUBLE_EQ(map[5], 1);
}

TEST(Flatten, ComesAfterActivations) {
  NetworkBuilder b({2, 8, 8}, 1);
  b.dense(b.square(b.flatten(b.conv(0, 3, 3, 1, 1))), 3);
  const circuit::Circuit p = lowered(b);
  EXPECT_EQ(p.ops.size(), 2u);
  EXPECT_EQ(p.values[1].shape, (circuit::Shape{3, 8, 8}));
}

TEST(Layouts, DifferByDirection) {
  NetworkBuilder b({1, 8, 32}, 1);
  const int x = b.square(b.conv(0, 2, 3, 1, 1));
  graph::Conv2d wide;
  wide.out_c = 2;
  wide.kernel_w = 4;
  wide.stride_w = 4;
  b.dense(b.flatten(b.square(b.conv(x, wide))), 3);
  const auto layouts = packing::lay_out(lowered(b), 8, 1);
  EXPECT_EQ(layouts[0].phases, packing::Axes(1, 4)) << "no ciphertext without pixels";
  EXPECT_EQ(layouts[2].phases, packing::Axes(1));
  EXPECT_EQ(layouts[2].gap, packing::Axes(1));
}

TEST(Layouts, StridesOfThreeLeaveGapsOverPhases) {
  NetworkBuilder b({1, 12, 12}, 1);
  b.dense(b.flatten(b.square(b.conv(0, 2, 3, 3, 0))), 3);
  const circuit::Circuit p = lowered(b);
  EXPECT_EQ(packing::lay_out(p, 4, 1)[1].phases, packing::Axes(4));
  EXPECT_EQ(packing::lay_out(p, 4, 1)[1].gap, packing::Axes(3));
  EXPECT_EQ(packing::lay_out(p, 16, 1)[1].gap, packing::Axes(3));
}

}  // namespace
}  // namespace sotto::compiler
