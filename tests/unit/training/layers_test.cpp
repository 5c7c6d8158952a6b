#include "training/layers.h"

#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "graph/interpreter.h"
#include "support/expect_error.h"
#include "training/differentiate.h"
#include "training/trained.h"
#include "unit/training/networks.h"

namespace sotto::training {
namespace {

using graph::Network;
using test::NetworkBuilder;

// A convolution, a mean, and two dense layers with a quadratic between them.
Network two_dense_layers() {
  NetworkBuilder b({2, 6, 6}, 7);
  const int map = test::quadratic(b, b.conv(0, 6, 3, 1, 1), 0.25, 0.5);
  const int hidden = test::quadratic(b, b.dense(b.mean(map), 5), 0.5, 0.5);
  b.dense(hidden, 3);
  return b.network;
}

Spec training_layers(std::vector<std::string> names) {
  Spec spec;
  spec.batch = 4;
  spec.steps = 1;
  spec.layers = std::move(names);
  return spec;
}

std::vector<std::string> dense_layers(const Network& network) {
  std::vector<std::string> names;
  for (const graph::Node& n : network.nodes)
    if (std::holds_alternative<graph::Dense>(n.op)) names.push_back(n.name);
  return names;
}

TEST(Layers, FeaturesAreWhatTheFirstTrainedDenseLayerReads) {
  const Network network = two_dense_layers();
  const auto dense = dense_layers(network);
  const auto features_for = [&](std::vector<std::string> names) {
    return features_of(network, training_layers(std::move(names)));
  };
  const std::optional<int> last = features_for({dense[1]}), both = features_for(dense);
  ASSERT_TRUE(last && both);
  EXPECT_EQ(network.nodes[static_cast<std::size_t>(*both)].shape.size(), 6U);
  EXPECT_EQ(network.nodes[static_cast<std::size_t>(*last)].shape.size(), 5U);
  EXPECT_FALSE(features_for({})) << "all layers are trained";
  EXPECT_FALSE(features_for({network.nodes[1].name})) << "a convolution";
}

TEST(Layers, NamesThatAreThereAreListed) {
  NetworkBuilder b({1, 4, 4}, 2);
  int x = b.flatten(0);
  for (int k = 0; k < 8; ++k) x = b.dense(x, 3);
  const auto dense = dense_layers(b.network);
  EXPECT_TRUE(test::refuses([&] { (void)layers_to_train(b.network, training_layers({"nowhere"})); },
                            {"'nowhere'", "there are '" + dense[0] + "', '" + dense[1] + "'", "and 2 more"}));
}

TEST(Layers, ImagesThatADenseLayerReadsAreNoFeatures) {
  NetworkBuilder b({1, 4, 4}, 2);
  b.dense(b.flatten(0), 3);
  EXPECT_FALSE(features_of(b.network, training_layers(dense_layers(b.network))));
}

TEST(Layers, ABranchAroundTheTrainedLayersLeavesNoFeatures) {
  NetworkBuilder b({1, 4, 4}, 2);
  const int a = b.dense(b.flatten(b.conv(0, 2, 3, 1, 1)), 3);
  const int c = b.dense(b.flatten(b.conv(0, 1, 3, 1, 1)), 3);
  b.sum(a, c);
  EXPECT_FALSE(features_of(b.network, training_layers({dense_layers(b.network).front()})));
}

TEST(Layers, FeaturesLieOnFullMaps) {
  const auto shape = [](int count, int side) {
    const Shape s = shape_of_features(count, side);
    EXPECT_EQ(s.channels * s.height * s.width, count);
    return s;
  };
  EXPECT_EQ(shape(128, 8), (Shape{2, 8, 8}));
  EXPECT_EQ(shape(84, 8).channels, 2);  // 6 x 7
  EXPECT_EQ(shape(10, 4).channels, 5);  // 2 x 1
  EXPECT_EQ(shape(13, 8), (Shape{13, 1, 1}));
}

// Of a network whose dense layers are trained, the first of them on six features.
void expect_body_and_head(const Network& network) {
  const Spec spec = training_layers(dense_layers(network));
  const int features = *features_of(network, spec);
  const auto images = test::random_images(20, 72);
  const Standard none{std::vector<double>(6, 0), std::vector<double>(6, 1)};
  const Standard standard = standard_of(graph::evaluate_all(body_of(network, features, none), images));
  const Network body = body_of(network, features, standard);
  const Network head = head_of(network, features, shape_of_features(6, 2), standard);
  const auto values = graph::evaluate_all(body, images);
  for (std::size_t k = 0; k < 6; ++k) {
    double mean = 0, square = 0;
    for (const auto& v : values) mean += v[k] / 20, square += v[k] * v[k] / 20;
    EXPECT_NEAR(mean, 0, 1e-9);
    EXPECT_NEAR(square, 1, 1e-9);
  }
  const auto wanted = graph::evaluate_all(network, images), found = graph::evaluate_all(head, values);
  for (std::size_t i = 0; i < images.size(); ++i)
    for (std::size_t k = 0; k < 3; ++k) EXPECT_NEAR(found[i][k], wanted[i][k], 1e-9);

  // And weights of the head, changed, are those of the network.
  const Step step = differentiate(head, spec);
  std::vector<std::vector<double>> weights;
  for (const Parameter& p : step.parameters) {
    weights.push_back(p.initial);
    for (double& w : weights.back()) w = 0.7 * w + 0.1;
  }
  const auto changed = graph::evaluate_all(trained(head, step, weights), values);
  const auto whole = graph::evaluate_all(trained(network, step, without_standard(step, weights, standard)), images);
  for (std::size_t i = 0; i < images.size(); ++i)
    for (std::size_t k = 0; k < 3; ++k) EXPECT_NEAR(whole[i][k], changed[i][k], 1e-9);
}

TEST(Layers, BodyAndHeadAreTheNetwork) { expect_body_and_head(two_dense_layers()); }

// Two dense layers, the first without biases of its own, and what lies between them: made of the first.
Network without_biases(const std::function<int(NetworkBuilder&, int)>& between) {
  NetworkBuilder b({2, 6, 6}, 7);
  const int map = test::quadratic(b, b.conv(0, 6, 3, 1, 1), 0.25, 0.5);
  const int first = b.dense(b.flatten(b.mean(map)), 5);
  std::get<graph::Dense>(b.network.nodes[static_cast<std::size_t>(first)].op).bias.assign(5, 0);
  b.dense(between(b, first), 3);
  return b.network;
}

// x + 1, of all channels.
int one_more(NetworkBuilder& b, int x) {
  const int node = b.affine(x);
  auto& affine = std::get<graph::ChannelAffine>(b.network.nodes.back().op);
  affine.scale.assign(5, 1);
  affine.shift.assign(5, 1);
  return node;
}

TEST(Layers, BiasesAreThoseOfANodeBehindThatAloneReadsALayer) {
  const Network network =
      without_biases([](NetworkBuilder& b, int x) { return test::quadratic(b, one_more(b, x), 0.5, 0.5); });
  const auto named = dense_layers(network);
  const auto first = std::ranges::find(network.nodes, named.front(), &graph::Node::name) - network.nodes.begin();
  EXPECT_EQ(bias_node(network, static_cast<int>(first)), first + 1);
  expect_body_and_head(network);
  Network same_names = network;  // the biases are told apart from the layer's own
  same_names.nodes[static_cast<std::size_t>(first) + 1].name = named.front();
  expect_body_and_head(same_names);
}

// x (x + 1): what adds 1 is no layer's biases.
TEST(Layers, ASumThatIsNotAllThatReadsALayerHoldsNoBiases) {
  const Network network = without_biases([](NetworkBuilder& b, int x) { return b.product(one_more(b, x), x); });
  const auto named = dense_layers(network);
  const auto first = std::ranges::find(network.nodes, named.front(), &graph::Node::name) - network.nodes.begin();
  EXPECT_EQ(bias_node(network, static_cast<int>(first)), first);
  expect_body_and_head(network);
}

TEST(Layers, NormalEquationsAreForOneDenseLayer) {
  Spec spec;
  const graph::Network network = test::small_lenet();
  const auto refused = [&] {
    return test::refuses([&] { require_one_dense_layer(network, spec); }, {"normal equations train one dense layer"});
  };
  EXPECT_TRUE(refused());  // all layers
  spec.layers = {network.nodes[1].name};
  EXPECT_TRUE(refused());  // a convolution
  spec.layers = {network.nodes.back().name};
  EXPECT_NO_THROW(require_one_dense_layer(network, spec));
  spec.layers = {};
  spec.new_head = 5;
  EXPECT_NO_THROW(require_one_dense_layer(network, spec));
}

TEST(Layers, AFeatureThatNeverChangesKeepsItsSize) {
  const Standard s = standard_of({{1, 5}, {3, 5}});
  EXPECT_EQ(s.mean, (std::vector<double>{2, 5}));
  EXPECT_EQ(s.deviation, (std::vector<double>{1, 1}));
}

}  // namespace
}  // namespace sotto::training
