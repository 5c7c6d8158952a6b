#include "training/map_features.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <span>
#include <utility>

#include "base/error.h"
#include "base/text.h"

namespace sotto::training {

using graph::Network;
using graph::Node;

namespace {

// By node: whether its value depends on a layer that is trained.
std::vector<bool> behind_trained(const Network& network, const Spec& spec) {
  const std::set<int> trained = layers_to_train(network, spec);
  std::vector<bool> behind(network.nodes.size());
  for (std::size_t i = 0; i < behind.size(); ++i)
    behind[i] = trained.contains(static_cast<int>(i)) || std::ranges::any_of(network.nodes[i].inputs, [&](int k) {
                  return behind[static_cast<std::size_t>(k)];
                });
  return behind;
}

// Fixed nodes whose values others read, in order.
std::set<int> crossing(const Network& network, const std::vector<bool>& behind) {
  std::set<int> values;
  for (std::size_t i = 0; i < behind.size(); ++i)
    for (int k : network.nodes[i].inputs)
      if (behind[i] && !behind[static_cast<std::size_t>(k)]) values.insert(k);
  return values;
}

void require_one_size(const Network& network, const std::set<int>& values) {
  const Node& first = network.nodes[static_cast<std::size_t>(*values.begin())];
  for (int k : values)
    if (const Node& n = network.nodes[static_cast<std::size_t>(k)];
        n.shape.h != first.shape.h || n.shape.w != first.shape.w)
      throw Error(ErrorCode::bad_input,
                  readable_text(fmt::format(
                      "what is trained reads maps of different sizes, {} x {} of '{}' and {} x {} of '{}', from layers "
                      "that are not: name others",
                      first.shape.h, first.shape.w, first.name, n.shape.h, n.shape.w, n.name)));
}

// Channels of the values that a Concat joins.
std::vector<int> parts_of(const Network& network, int features) {
  std::vector<int> channels;
  for (int k : network.nodes[static_cast<std::size_t>(features)].inputs)
    channels.push_back(network.nodes[static_cast<std::size_t>(k)].shape.c);
  return channels;
}

}  // namespace

Network with_joined_features(Network network, const Spec& spec) {
  const std::vector<bool> behind = behind_trained(network, spec);
  const std::set<int> values = crossing(network, behind);
  require_one_size(network, values);
  std::vector<int> place(network.nodes.size(), -1);
  std::vector<Node> nodes;
  const auto move = [&](bool those_behind) {
    for (std::size_t i = 0; i < behind.size(); ++i) {
      if (behind[i] != those_behind) continue;
      place[i] = static_cast<int>(nodes.size());
      nodes.push_back(std::move(network.nodes[i]));
      for (int& k : nodes.back().inputs) k = place[static_cast<std::size_t>(k)];
    }
  };
  move(false);
  const auto node_of = [&](int value) -> const Node& {
    return nodes[static_cast<std::size_t>(place[static_cast<std::size_t>(value)])];
  };
  Node join{"features", graph::Concat{}, {}, {0, node_of(*values.begin()).shape.h, node_of(*values.begin()).shape.w}};
  for (int k : values) {
    join.inputs.push_back(place[static_cast<std::size_t>(k)]);
    join.shape.c += node_of(k).shape.c;
  }
  const int features = static_cast<int>(nodes.size());
  nodes.push_back(std::move(join));
  int first = 0;
  for (int k : values) {
    const Node source = node_of(k);
    graph::Rearrange pick;
    for (int c = 0; c < source.shape.c; ++c) pick.channels.push_back(first++);
    place[static_cast<std::size_t>(k)] = static_cast<int>(nodes.size());
    nodes.push_back({source.name + ".features", std::move(pick), {features}, source.shape});
  }
  move(true);
  network.nodes = std::move(nodes);
  return network;
}

Standard standard_of_maps(const Network& network, int features, const std::vector<std::vector<double>>& values) {
  const graph::Shape& shape = network.nodes[static_cast<std::size_t>(features)].shape;
  const std::size_t plane = static_cast<std::size_t>(shape.h) * static_cast<std::size_t>(shape.w);
  Standard s;
  std::size_t first = 0;
  for (int channels : parts_of(network, features)) {
    const std::size_t count = static_cast<std::size_t>(channels) * plane;
    const double all = static_cast<double>(count) * static_cast<double>(values.size());
    double mean = 0, variance = 0;
    for (const auto& v : values)
      for (double x : std::span(v).subspan(first, count)) mean += x / all;
    for (const auto& v : values)
      for (double x : std::span(v).subspan(first, count)) variance += (x - mean) * (x - mean) / all;
    s.mean.insert(s.mean.end(), static_cast<std::size_t>(channels), mean);
    s.deviation.insert(s.deviation.end(), static_cast<std::size_t>(channels), variance > 0 ? std::sqrt(variance) : 1);
    first += count;
  }
  return s;
}

Network head_behind_maps(const Network& network, int features, const Standard& standard) {
  const graph::Shape& shape = network.nodes[static_cast<std::size_t>(features)].shape;
  Network head;
  head.name = network.name;
  head.classes = network.classes;
  head.mean.assign(static_cast<std::size_t>(shape.c), 0);
  head.std.assign(static_cast<std::size_t>(shape.c), 1);
  head.nodes.push_back({"features", graph::Input{}, {}, shape});
  std::map<int, int> place{{features, 0}};  // of a node's value, in the head
  for (int i = features + 1; i < static_cast<int>(network.nodes.size()); ++i) {
    Node n = network.nodes[static_cast<std::size_t>(i)];
    const bool pick = n.inputs.front() == features;
    for (int& k : n.inputs) k = place.at(k);
    head.nodes.push_back(std::move(n));
    place[i] = static_cast<int>(head.nodes.size()) - 1;
    if (!pick) continue;
    // What the value was before it was standardised.
    const Node& picked = head.nodes.back();
    graph::ChannelAffine back;
    for (int c : std::get<graph::Rearrange>(picked.op).channels) {
      back.scale.push_back(standard.deviation[static_cast<std::size_t>(c)]);
      back.shift.push_back(standard.mean[static_cast<std::size_t>(c)]);
    }
    head.nodes.push_back({picked.name + ".size", std::move(back), {place.at(i)}, picked.shape});
    place[i] = static_cast<int>(head.nodes.size()) - 1;
  }
  return head;
}

}  // namespace sotto::training
