#include "training/layers.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "base/error.h"
#include "base/text.h"
#include "training/adapter_names.h"

namespace sotto::training {

using graph::Network;
using graph::Node;

namespace {

constexpr double kLeastVariance = 1e-12;  // of a feature, over the largest

Network up_to(Network network, int features) {
  graph::keep_ancestors(network, features);
  network.classes.clear();
  return network;
}

const std::vector<double>& biases_of(const Node& layer) {
  const auto* c = std::get_if<graph::Conv2d>(&layer.op);
  return c != nullptr ? c->bias : std::get<graph::Dense>(layer.op).bias;
}

}  // namespace

bool has_weights(const Node& node) {
  return std::holds_alternative<graph::Conv2d>(node.op) || std::holds_alternative<graph::Dense>(node.op);
}

int bias_node(const Network& network, int layer) {
  if (!std::ranges::all_of(biases_of(network.nodes[static_cast<std::size_t>(layer)]), [](double b) { return b == 0; }))
    return layer;
  int readers = 0, reader = layer;
  for (std::size_t i = 0; i < network.nodes.size(); ++i)
    for (int k : network.nodes[i].inputs) {
      if (k != layer) continue;
      ++readers;
      reader = static_cast<int>(i);
    }
  const auto* sum = std::get_if<graph::ChannelAffine>(&network.nodes[static_cast<std::size_t>(reader)].op);
  const bool only_adds = sum != nullptr && std::ranges::all_of(sum->scale, [](double s) { return s == 1; });
  return readers == 1 && only_adds ? reader : layer;
}

std::vector<double>& numbers_of(Node& node, bool bias) {
  if (auto* c = std::get_if<graph::Conv2d>(&node.op)) return bias ? c->bias : c->weights;
  if (auto* d = std::get_if<graph::Dense>(&node.op)) return bias ? d->bias : d->weights;
  check(bias, "a node without weights");
  return std::get<graph::ChannelAffine>(node.op).shift;
}

std::set<int> layers_to_train(const Network& network, const Spec& spec) {
  std::vector<std::string> all;
  std::set<int> trained;
  const std::set<std::string> named(spec.layers.begin(), spec.layers.end());
  const int count = static_cast<int>(network.nodes.size());
  for (int i = 0; i < count; ++i) {
    const Node& n = network.nodes[static_cast<std::size_t>(i)];
    if (!has_weights(n)) continue;
    if (std::ranges::find(all, n.name) != all.end())
      throw Error(
          ErrorCode::bad_input,
          "node '" + n.name + "': another layer has the same name; layers that are trained need names of their own");
    all.push_back(n.name);
    const bool head = spec.new_head > 0 && i + 1 == count;
    const bool all_layers = spec.new_head == 0 && named.empty() && spec.adapters.empty();
    if (head || all_layers || named.contains(n.name) || is_adapter_part(n.name, spec)) trained.insert(i);
  }
  if (all.empty()) throw Error(ErrorCode::bad_input, "the network has no layer with weights to train");
  for (const std::string& name : spec.layers)
    if (std::ranges::find(all, name) == all.end())
      throw Error(ErrorCode::bad_input, "layers names '" + readable_text(name) +
                                            "', which is no convolution or dense layer of the network; there are " +
                                            quoted(all));
  return trained;
}

void require_one_dense_layer(const Network& network, const Spec& spec) {
  const std::set<int> trained = layers_to_train(network, spec);
  if (trained.size() != 1 ||
      !std::holds_alternative<graph::Dense>(network.nodes[static_cast<std::size_t>(*trained.begin())].op))
    throw Error(ErrorCode::bad_input,
                "normal equations train one dense layer: name it in layers, ask for a new_head, or train with sgd");
}

bool has_joined_features(const Spec& spec) { return !spec.adapters.empty(); }

std::optional<int> features_of(const Network& network, const Spec& spec) {
  const std::set<int> trained = layers_to_train(network, spec);
  if (trained.empty()) return std::nullopt;
  const auto at = [&](int i) -> const Node& { return network.nodes[static_cast<std::size_t>(i)]; };
  // The first layer that is trained reads a value that was picked out of joined features.
  if (has_joined_features(spec)) return at(at(*trained.begin()).inputs.front()).inputs.front();
  const int first = *trained.begin(), count = static_cast<int>(network.nodes.size());
  if (!std::holds_alternative<graph::Dense>(at(first).op)) return std::nullopt;
  const int features = at(first).inputs.front();
  if (std::ranges::none_of(up_to(network, features).nodes, has_weights)) return std::nullopt;
  std::set<int> behind{first};
  for (int i = first + 1; i < count; ++i)
    if (std::ranges::all_of(at(i).inputs, [&](int k) { return behind.contains(k); })) behind.insert(i);
  // What the output needs beside the body and what lies behind must be nothing.
  std::set<int> needed{count - 1};
  for (int i = count - 1; i >= first; --i) {
    if (!needed.contains(i)) continue;
    if (!behind.contains(i)) return std::nullopt;
    if (i != first) needed.insert(at(i).inputs.begin(), at(i).inputs.end());
  }
  return features;
}

Standard standard_of(const std::vector<std::vector<double>>& features) {
  const auto images = static_cast<double>(features.size());
  const std::size_t count = features.front().size();
  Standard s{std::vector<double>(count), std::vector<double>(count)};
  for (const auto& f : features)
    for (std::size_t k = 0; k < count; ++k) s.mean[k] += f[k] / images;
  for (const auto& f : features)
    for (std::size_t k = 0; k < count; ++k) s.deviation[k] += (f[k] - s.mean[k]) * (f[k] - s.mean[k]) / images;
  const double largest = *std::ranges::max_element(s.deviation);
  for (double& d : s.deviation) d = d > kLeastVariance * largest ? std::sqrt(d) : 1;
  return s;
}

Network body_of(Network network, int features, const Standard& standard) {
  network = up_to(std::move(network), features);
  graph::ChannelAffine affine;
  for (std::size_t k = 0; k < standard.mean.size(); ++k) {
    affine.scale.push_back(1 / standard.deviation[k]);
    affine.shift.push_back(-standard.mean[k] / standard.deviation[k]);
  }
  const graph::Shape shape = network.output_shape();
  const int last = static_cast<int>(network.nodes.size()) - 1;
  network.nodes.push_back({"features", std::move(affine), {last}, shape});
  return network;
}

Shape shape_of_features(int count, int side) {
  Shape best{count, 1, 1};
  for (int height = 1; height <= side; ++height)
    for (int width = 1; width <= side; ++width)
      if (count % (height * width) == 0 && count / (height * width) < best.channels)
        best = {count / (height * width), height, width};
  return best;
}

Network head_of(const Network& network, int features, const Shape& shape, const Standard& standard) {
  const graph::Shape flat = network.nodes[static_cast<std::size_t>(features)].shape;
  Network head;
  head.name = network.name;
  head.classes = network.classes;
  head.mean.assign(static_cast<std::size_t>(shape.channels), 0);
  head.std.assign(static_cast<std::size_t>(shape.channels), 1);
  head.nodes.push_back({"features", graph::Input{}, {}, {shape.channels, shape.height, shape.width}});
  head.nodes.push_back({"features flattened", graph::Flatten{}, {0}, flat});
  std::map<int, int> place{{features, 1}};  // of a node, in the head
  for (int i = features + 1; i < static_cast<int>(network.nodes.size()); ++i) {
    Node n = network.nodes[static_cast<std::size_t>(i)];
    if (n.inputs.empty() || !std::ranges::all_of(n.inputs, [&](int k) { return place.contains(k); })) continue;
    for (int& k : n.inputs) k = place.at(k);
    place[i] = static_cast<int>(head.nodes.size());
    head.nodes.push_back(std::move(n));
  }
  graph::keep_ancestors(head, static_cast<int>(head.nodes.size()) - 1);
  const auto found = std::ranges::find_if(head.nodes, has_weights);
  check(found != head.nodes.end() && std::holds_alternative<graph::Dense>(found->op),
        "what reads features is a dense layer");
  auto& dense = std::get<graph::Dense>(found->op);
  const int biased = bias_node(head, static_cast<int>(found - head.nodes.begin()));
  std::vector<double>& bias = numbers_of(head.nodes[static_cast<std::size_t>(biased)], true);
  const std::size_t count = standard.mean.size();
  for (std::size_t i = 0; i < dense.weights.size(); ++i) {
    bias[i / count] += dense.weights[i] * standard.mean[i % count];
    dense.weights[i] *= standard.deviation[i % count];
  }
  return head;
}

std::vector<std::vector<double>> without_standard(const Step& step, std::vector<std::vector<double>> weights,
                                                  const Standard& standard) {
  const auto parameter_of = [&](int value) {
    const auto found = std::ranges::find(step.parameters, value, &Parameter::value);
    check(found != step.parameters.end(), "the layer that reads features is trained");
    return static_cast<std::size_t>(found - step.parameters.begin());
  };
  const auto product = std::ranges::find_if(
      step.ops, [&](const Op& op) { return op.kind == Op::Kind::contract && op.inputs.front() == step.images; });
  check(product != step.ops.end(), "a dense layer reads the features");
  const auto sum = std::ranges::find_if(
      step.ops, [&](const Op& op) { return op.kind == Op::Kind::add_bias && op.inputs.front() == product->output; });
  check(sum != step.ops.end(), "the layer that reads features has biases");
  std::vector<double>&w = weights[parameter_of(product->inputs[1])], &b = weights[parameter_of(sum->inputs[1])];
  const std::size_t count = standard.mean.size();
  for (std::size_t i = 0; i < w.size(); ++i) {
    w[i] /= standard.deviation[i % count];
    b[i / count] -= w[i] * standard.mean[i % count];
  }
  return weights;
}

}  // namespace sotto::training
