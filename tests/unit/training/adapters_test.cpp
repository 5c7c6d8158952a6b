#include "training/adapters.h"

#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "graph/interpreter.h"
#include "support/expect_error.h"
#include "training/differentiate.h"
#include "training/map_features.h"
#include "training/run_twin.h"
#include "training/trained.h"
#include "unit/training/networks.h"

namespace sotto::training {
namespace {

using graph::Network;
using test::refuses;

// Two convolutions, the second with a shortcut and a batch normalisation behind it, a mean and a dense layer. stride:
// of the second; with strides there is no shortcut.
Network residual_network(int stride = 1) {
  test::NetworkBuilder b({2, 8, 8}, 11);
  const int x = test::quadratic(b, b.conv(0, 4, 3, 2, 1), 0.25, 0.5);
  int y = b.conv(x, stride == 1 ? 4 : 3, 3, stride, 1);
  if (stride == 1) y = b.sum(y, x);
  b.dense(b.flatten(b.mean(test::quadratic(b, b.affine(y), 0.2, 0.5))), 3);
  b.network.nodes[static_cast<std::size_t>(x) + 1].name = "second";
  return b.network;
}

Spec spec_with(std::vector<Adapter> adapters) {
  Spec spec;
  spec.adapters = std::move(adapters);
  spec.batch = 6;
  spec.steps = 30;
  spec.rate = 0.1;
  return spec;
}

void expect_same(const Network& a, const Network& b, const std::vector<std::vector<double>>& images) {
  const auto wanted = graph::evaluate_all(a, images), found = graph::evaluate_all(b, images);
  for (std::size_t i = 0; i < images.size(); ++i)
    for (std::size_t k = 0; k < wanted[i].size(); ++k) EXPECT_NEAR(found[i][k], wanted[i][k], 1e-9);
}

// The network with weights that take the place of its own.
Network with_weights(Network network, const std::vector<graph::NewWeights>& list) {
  for (const graph::NewWeights& w : list)
    for (graph::Node& n : network.nodes) {
      if (n.name != w.node) continue;
      if (auto* c = std::get_if<graph::Conv2d>(&n.op)) (w.bias ? c->bias : c->weights) = w.values;
      if (auto* d = std::get_if<graph::Dense>(&n.op)) (w.bias ? d->bias : d->weights) = w.values;
    }
  return network;
}

std::vector<std::vector<double>> random_weights(const Step& step) {
  std::mt19937_64 random(8);
  std::normal_distribution<double> normal;
  std::vector<std::vector<double>> weights;
  for (const Parameter& p : step.parameters) {
    weights.push_back(p.initial);
    for (double& w : weights.back()) w += 0.3 * normal(random);
  }
  return weights;
}

TEST(Adapters, ChangeNothingAtFirst) {
  const Network network = residual_network();
  expect_same(network, network_to_train(network, spec_with({{"second", 2}})), test::random_images(5, 128));
}

TEST(Adapters, AreMergedIntoTheMiddleTap) {
  for (const int stride : {1, 2}) {
    const Network network = residual_network(stride);
    Spec spec = spec_with({{"second", 2}});
    spec.layers = {network.nodes.back().name};
    const Network adapted = network_to_train(network, spec);
    const Step step = differentiate(head_behind_maps(adapted, *features_of(adapted, spec),
                                                     {std::vector<double>(64, 0), std::vector<double>(64, 1)}),
                                    spec);
    ASSERT_EQ(step.parameters.size(), 4U);
    const auto weights = random_weights(step);
    expect_same(trained(adapted, step, weights), with_weights(network, new_weights(network, spec, step, weights)),
                test::random_images(5, 128));
  }
}

TEST(Adapters, WhatTheyReadRunsOnceForEveryImage) {
  const Network network = residual_network();
  const Spec spec = spec_with({{"second", 2}});
  const Network adapted = network_to_train(network, spec);
  const int features = *features_of(adapted, spec);
  // What the second convolution reads, and what it makes, normalised: 4 channels of 4 x 4 each.
  EXPECT_EQ(adapted.nodes[static_cast<std::size_t>(features)].shape, (graph::Shape{8, 4, 4}));
  const auto images = test::random_images(20, 128);
  const Standard none{std::vector<double>(8, 0), std::vector<double>(8, 1)};
  const Standard standard =
      standard_of_maps(adapted, features, graph::evaluate_all(body_of(adapted, features, none), images));
  const auto values = graph::evaluate_all(body_of(adapted, features, standard), images);
  for (std::size_t part = 0; part < 2; ++part) {
    double mean = 0, square = 0;
    for (const auto& v : values)
      for (std::size_t k = part * 64; k < (part + 1) * 64; ++k) mean += v[k] / 1280, square += v[k] * v[k] / 1280;
    EXPECT_NEAR(mean, 0, 1e-9);
    EXPECT_NEAR(square, 1, 1e-9);
  }
  const Network head = head_behind_maps(adapted, features, standard);
  const auto wanted = graph::evaluate_all(network, images), found = graph::evaluate_all(head, values);
  for (std::size_t i = 0; i < images.size(); ++i)
    for (std::size_t k = 0; k < 3; ++k) EXPECT_NEAR(found[i][k], wanted[i][k], 1e-9);
  EXPECT_EQ(differentiate(head, spec).parameters.size(), 2U) << "the adapter alone, without biases";
}

TEST(Adapters, LearnWithANewHead) {
  const Network network = residual_network();
  Spec spec = spec_with({{"second", 2}});
  spec.new_head = 4;
  const Network adapted = network_to_train(network, spec);
  const int features = *features_of(adapted, spec);
  const Standard none{std::vector<double>(8, 0), std::vector<double>(8, 1)};
  const auto values = graph::evaluate_all(body_of(adapted, features, none), test::random_images(6, 128));
  std::vector<Example> examples;
  for (std::size_t i = 0; i < values.size(); ++i) examples.push_back({values[i], static_cast<int>(i) % 4});
  const Step step = differentiate(head_behind_maps(adapted, features, none), spec);
  const auto steps = run_twin(step, spec, examples);
  EXPECT_LT(steps.back().result.loss, 0.9 * steps.front().result.loss);
  for (std::size_t p = 0; p < step.parameters.size(); ++p)
    EXPECT_NE(steps.back().state.weights[p], step.parameters[p].initial) << step.parameters[p].layer;
}

TEST(Adapters, TheStartFollowsFromTheSeed) {
  const Network network = residual_network();
  Spec spec = spec_with({{"second", 2}});
  const auto down = [&]() -> std::vector<double> {
    for (const graph::Node& n : with_adapters(network, spec).nodes)
      if (n.name == "second.down") return std::get<graph::Conv2d>(n.op).weights;
    return {};
  };
  const std::vector<double> first = down();
  ASSERT_EQ(first.size(), 8U);
  for (double w : first) EXPECT_LE(std::abs(w), std::sqrt(0.75));
  EXPECT_EQ(down(), first);
  spec.seed = 1;
  EXPECT_NE(down(), first);
}

TEST(Adapters, RefusesWhatCannotHaveOne) {
  const Network network = residual_network();
  const auto refused = [](const Network& n, const Spec& spec, std::initializer_list<std::string_view> words) {
    return refuses([&] { (void)network_to_train(n, spec); }, words);
  };
  EXPECT_TRUE(refused(network, spec_with({{"third", 2}}), {"'third'", "no convolution"}));
  EXPECT_TRUE(refused(network, spec_with({{network.nodes.back().name, 2}}), {network.nodes.back().name}));
  const auto changed = [&](const std::function<void(graph::Conv2d&)>& change) {
    Network n = network;
    for (graph::Node& node : n.nodes)
      if (node.name == "second") change(std::get<graph::Conv2d>(node.op));
    return n;
  };
  const Spec spec = spec_with({{"second", 2}});
  EXPECT_TRUE(refused(changed([](graph::Conv2d& c) { c.groups = 2; }), spec, {"'second'", "groups"}));
  EXPECT_TRUE(refused(changed([](graph::Conv2d& c) { c.kernel_h = 2; }), spec, {"'second'", "middle"}));
  EXPECT_TRUE(refused(changed([](graph::Conv2d& c) { c.pad_left = 0; }), spec, {"'second'", "middle"}));
}

TEST(Adapters, RefusesFeaturesOfDifferentSizes) {
  // The dense layer reads means of the first map beside what is adapted.
  test::NetworkBuilder b({2, 8, 8}, 5);
  const int x = b.conv(0, 4, 3, 1, 1);
  const int pooled = b.pool(x, 2, 2, 0);
  b.dense(b.flatten(b.concat({b.mean(b.conv(pooled, 4, 3, 1, 1)), b.mean(x)})), 3);
  Spec spec = spec_with({{b.network.nodes[3].name, 1}});
  EXPECT_TRUE(refuses([&] { (void)network_to_train(b.network, spec); }, {"different sizes"}));
}

}  // namespace
}  // namespace sotto::training
