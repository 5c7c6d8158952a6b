#include "training/differentiate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

#include "support/expect_error.h"
#include "unit/training/networks.h"

namespace sotto::training {
namespace {

using test::NetworkBuilder;
using test::quadratic;
using test::refuses;
using test::small_lenet;
using Kind = Op::Kind;

Spec of_layers(std::vector<std::string> names) {
  Spec spec;
  spec.layers = std::move(names);
  return spec;
}

std::vector<Kind> kinds(const Step& step) {
  std::vector<Kind> out;
  for (const Op& op : step.ops) out.push_back(op.kind);
  return out;
}

// Every value is made once or is an input, and everything that an op reads is there.
void expect_in_order(const Step& step) {
  std::set<int> there{step.images, step.labels};
  for (const Parameter& p : step.parameters) there.insert(p.value);
  for (const Constant& c : step.constants) there.insert(c.value);
  for (const Op& op : step.ops) {
    for (int i : op.inputs) EXPECT_TRUE(there.contains(i)) << step.value(i).name;
    EXPECT_TRUE(there.insert(op.output).second) << step.value(op.output).name;
    EXPECT_EQ(op.factors.size(), op.kind == Kind::affine ? op.inputs.size() : 0u);
  }
  EXPECT_EQ(there.size(), step.values.size());
}

// Whether somebody reads every value that an op makes.
void expect_nothing_needless(const Step& step) {
  std::set<int> read{step.scores};
  for (const Op& op : step.ops) read.insert(op.inputs.begin(), op.inputs.end());
  for (const Parameter& p : step.parameters) read.insert(p.gradient);
  for (const Op& op : step.ops) EXPECT_TRUE(read.contains(op.output)) << step.value(op.output).name;
}

TEST(Differentiate, OpsOfASmallNetwork) {
  const Step step = differentiate(small_lenet(), Spec{});
  EXPECT_EQ(
      kinds(step),
      (std::vector<Kind>{// conv, quadratic, conv, quadratic, dense
                         Kind::convolve, Kind::add_bias, Kind::affine, Kind::square, Kind::affine,  //
                         Kind::convolve, Kind::add_bias, Kind::affine, Kind::square, Kind::affine,  //
                         Kind::contract, Kind::add_bias,
                         // scores - labels and back
                         Kind::affine,                                                              //
                         Kind::sum_pixels, Kind::contract_weights, Kind::contract_transposed,       //
                         Kind::affine, Kind::product,                                               //
                         Kind::sum_pixels, Kind::convolve_weights, Kind::convolve_transposed,       //
                         Kind::affine, Kind::product, Kind::sum_pixels, Kind::convolve_weights}));  // not the image
  expect_in_order(step);
  expect_nothing_needless(step);
  // The slope 2 a u + b.
  const Op& slope = step.ops[16];
  EXPECT_EQ(slope.factors, std::vector<double>{0.5});
  EXPECT_EQ(slope.shift, 0.5);
  EXPECT_EQ(slope.inputs, std::vector<int>{step.ops[6].output});
  // The square completed: 0.25 (u + 1)^2 - 0.25.
  EXPECT_EQ(step.ops[2].factors, std::vector<double>{1});
  EXPECT_EQ(step.ops[2].shift, 1);
  EXPECT_EQ(step.value(step.ops[4].output).name, "affine4");  // the node that finishes the quadratic
  EXPECT_EQ(step.ops[4].factors, std::vector<double>{0.25});
  EXPECT_EQ(step.ops[4].shift, -0.25);
}

TEST(Differentiate, SoftmaxIsAPowerOfTheScores) {
  NetworkBuilder b({1, 2, 2}, 1);
  b.dense(b.flatten(0), 16);
  Spec spec;
  spec.loss = Spec::Loss::softmax;
  const Step step = differentiate(b.network, spec);
  EXPECT_EQ(kinds(step), (std::vector<Kind>{Kind::contract, Kind::add_bias,                             //
                                            Kind::affine, Kind::square, Kind::square, Kind::square,     // exp
                                            Kind::affine, Kind::sum_pixels, Kind::contract_weights}));  // and back
  EXPECT_EQ(step.ops[2].factors, std::vector<double>{0.125});
  EXPECT_EQ(step.ops[2].shift, std::sqrt(0.5));  // its eighth power is 1 / 16
  EXPECT_EQ(step.value(step.ops[5].output).name, "softmax");
  expect_in_order(step);
  expect_nothing_needless(step);
}

TEST(Differentiate, ParametersHaveTheWeightsOfTheNetwork) {
  const graph::Network network = small_lenet();
  const Step step = differentiate(network, Spec{});
  ASSERT_EQ(step.parameters.size(), 6u);
  std::size_t k = 0;
  for (const graph::Node& n : network.nodes) {
    const auto* c = std::get_if<graph::Conv2d>(&n.op);
    const auto* d = std::get_if<graph::Dense>(&n.op);
    if (c == nullptr && d == nullptr) continue;
    for (const bool bias : {false, true}) {
      const Parameter& p = step.parameters.at(k++);
      EXPECT_EQ(p.layer, n.name);
      EXPECT_EQ(p.bias, bias);
      EXPECT_EQ(p.initial, c != nullptr ? (bias ? c->bias : c->weights) : (bias ? d->bias : d->weights));
      EXPECT_EQ(p.initial.size(), step.value(p.value).size());
      ASSERT_GE(p.gradient, 0);
      const Value &v = step.value(p.value), &g = step.value(p.gradient);
      EXPECT_EQ(v.space, d != nullptr && !bias ? Space::matrix : Space::kernel);
      EXPECT_EQ(g.space, v.space);
      EXPECT_EQ(g.outs, v.outs);
      EXPECT_EQ(g.shape, v.shape);
    }
  }
  EXPECT_EQ(step.value(step.parameters[4].value).shape, (Shape{3, 3, 3}));  // the dense layer reads the map
  EXPECT_EQ(step.value(step.scores).space, Space::vector);
  EXPECT_EQ(step.value(step.labels).shape, (Shape{4, 1, 1}));
}

TEST(Differentiate, APureSquareNeedsNoAffineForwards) {
  NetworkBuilder b({2, 5, 5}, 1);
  b.dense(b.flatten(b.square(b.conv(0, 2, 3, 1, 1))), 3);
  const Step step = differentiate(b.network, Spec{});
  EXPECT_EQ(step.ops[2].kind, Kind::square);
  EXPECT_EQ(step.ops[3].kind, Kind::contract);
  expect_in_order(step);
  expect_nothing_needless(step);
}

TEST(Differentiate, GradientsOverSeveralPathsAreAdded) {
  NetworkBuilder b({1, 6, 6}, 1);
  const int x = quadratic(b, b.conv(0, 2, 3, 1, 1), 0.25, 0.5);
  b.dense(b.flatten(b.sum(b.conv(x, 2, 3, 1, 1), x)), 3);
  const Step step = differentiate(b.network, Spec{});
  const auto joined = std::ranges::count_if(step.ops, [](const Op& op) {
    return op.kind == Kind::affine && op.factors == std::vector<double>{1, 1};
  });
  EXPECT_EQ(joined, 2);  // the sum itself, and its gradient
  expect_in_order(step);
  expect_nothing_needless(step);
}

TEST(Differentiate, ABiasMayBeANodeOfItsOwn) {
  NetworkBuilder b({1, 4, 4}, 1);
  const int product = b.dense(b.flatten(0), 3);
  auto& dense = std::get<graph::Dense>(b.network.nodes.back().op);
  dense.bias.assign(3, 0);
  b.affine(product);
  auto& add = std::get<graph::ChannelAffine>(b.network.nodes.back().op);
  add.scale.assign(3, 1);
  const Step step = differentiate(b.network, Spec{});
  ASSERT_EQ(step.parameters.size(), 2u);
  EXPECT_EQ(step.parameters[1].layer, b.network.nodes.back().name);
  EXPECT_TRUE(step.parameters[1].bias);
  EXPECT_EQ(step.parameters[1].initial, add.shift);
  expect_in_order(step);
}

TEST(Differentiate, LayersThatAreNotNamedKeepTheirWeights) {
  const graph::Network network = small_lenet();
  const Step step = differentiate(network, of_layers({network.nodes.back().name}));
  ASSERT_EQ(step.parameters.size(), 2u);
  EXPECT_EQ(step.parameters[0].layer, network.nodes.back().name);
  ASSERT_EQ(step.constants.size(), 4u);
  EXPECT_EQ(step.constants[0].numbers, std::get<graph::Conv2d>(network.nodes[1].op).weights);
  // Nothing is differentiated in front of the layer.
  const auto all = kinds(step);
  for (Kind k : {Kind::convolve_weights, Kind::convolve_transposed, Kind::contract_transposed, Kind::product})
    EXPECT_EQ(std::ranges::count(all, k), 0);
}

// Images that a batch lacks would teach it.
TEST(Differentiate, RefusesAConstantBehindTheScores) {
  NetworkBuilder b({2, 8, 8}, 1);
  const int scores = b.dense(b.flatten(0), 3);
  b.network.nodes.push_back({"shift", graph::ChannelAffine{{1, 1, 1}, {2, 2, 2}}, {scores}, {3, 1, 1}});
  EXPECT_TRUE(refuses([&] { differentiate(b.network, {}); }, {"'shift'", "a constant that is added"}));
}

TEST(Differentiate, RefusesWhatCannotBeTrainedAndNamesIt) {
  const auto refusal = [](const std::function<void(NetworkBuilder&)>& build, std::string_view message, Spec spec = {}) {
    NetworkBuilder b({2, 8, 8}, 1);
    build(b);
    const std::string node = b.network.nodes[1].name;
    return refuses([&] { return differentiate(b.network, spec); }, {node, message});
  };
  EXPECT_TRUE(refusal([](auto& b) { b.dense(b.flatten(b.conv(0, 2, 3, 1, 1, 2)), 3); }, "groups or dilation"));
  EXPECT_TRUE(refusal([](auto& b) { b.dense(b.flatten(b.conv(0, 2, 3, 1, 1, 1, 2)), 3); }, "groups or dilation"));
  EXPECT_TRUE(refusal([](auto& b) { b.dense(b.flatten(b.relu(0)), 3); }, "cannot be trained through"));
  EXPECT_TRUE(refusal([](auto& b) { b.dense(b.flatten(b.pool(0, 2, 3, 0)), 3); }, "leaves pixels out"));
  EXPECT_TRUE(refusal([](auto& b) { b.dense(b.flatten(b.affine(0)), 3); }, "differ between channels"));
  EXPECT_TRUE(refusal([](auto& b) { b.conv(0, 3, 8, 1, 0); }, "must come from a dense layer"));

  NetworkBuilder cube({2, 8, 8}, 1);
  const int square = cube.square(0);
  cube.dense(cube.flatten(cube.product(square, 0)), 3);
  EXPECT_TRUE(refuses([&] { return differentiate(cube.network, Spec{}); }, {"product2", "degree two"}));

  NetworkBuilder gate({2, 8, 8}, 1);
  gate.dense(gate.flatten(gate.product(gate.conv(0, 2, 3, 1, 1), gate.conv(0, 2, 3, 1, 1))), 3);
  EXPECT_TRUE(refuses([&] { return differentiate(gate.network, Spec{}); }, {"product3", "only squares"}));

  EXPECT_TRUE(refuses(
      [] {
        return differentiate(small_lenet(), of_layers({"conv1", "fc"}));
      },
      {"'fc'", "no convolution"}));
  std::vector<std::string> names;
  for (const graph::Node& n : small_lenet().nodes) names.push_back(n.name);
  EXPECT_TRUE(refuses([&] { return differentiate(small_lenet(), of_layers(names)); },
                      {"'input0'", "no convolution or dense layer"}));
}

}  // namespace
}  // namespace sotto::training
