#include "compiler/flatten_last.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace sotto::compiler {

namespace {

using graph::Network;
using graph::Node;

// One value per channel from equal ones per pixel.
std::optional<std::vector<double>> per_channel(const std::vector<double>& values, std::size_t pixels) {
  std::vector<double> channels;
  for (std::size_t k = 0; k < values.size(); ++k) {
    if (k % pixels == 0) channels.push_back(values[k]);
    if (values[k] != channels.back()) return std::nullopt;
  }
  return channels;
}

// An operation on flattened values as one on maps of `shape`; nothing if it is none.
std::optional<graph::Op> on_maps(const graph::Op& op, const graph::Shape& shape) {
  if (std::holds_alternative<graph::Sum>(op) || std::holds_alternative<graph::Product>(op) ||
      std::holds_alternative<graph::Function>(op) || std::holds_alternative<graph::PixelBias>(op))
    return op;
  const auto* affine = std::get_if<graph::ChannelAffine>(&op);
  if (affine == nullptr) return std::nullopt;
  const std::size_t pixels = static_cast<std::size_t>(shape.h) * static_cast<std::size_t>(shape.w);
  auto scale = per_channel(affine->scale, pixels), shift = per_channel(affine->shift, pixels);
  if (!scale || !shift) return std::nullopt;
  return graph::ChannelAffine{std::move(*scale), std::move(*shift)};
}

}  // namespace

Network flatten_last(const Network& network) {
  Network out = network;
  out.nodes.clear();
  std::vector<int> place;  // in `out`
  for (const Node& old : network.nodes) {
    Node n = old;
    for (int& i : n.inputs) i = place[static_cast<std::size_t>(i)];
    const auto node = [&](int i) -> const Node& { return out.nodes[static_cast<std::size_t>(i)]; };
    const auto map_of = [&](int i) { return node(node(i).inputs.front()).shape; };
    const bool flat = !n.inputs.empty() && std::all_of(n.inputs.begin(), n.inputs.end(), [&](int i) {
      return std::holds_alternative<graph::Flatten>(node(i).op) && map_of(i) == map_of(n.inputs.front());
    });
    if (flat) {
      const graph::Shape shape = map_of(n.inputs.front());
      if (auto op = on_maps(n.op, shape)) {
        Node moved{n.name, std::move(*op), n.inputs, shape};
        for (int& i : moved.inputs) i = node(i).inputs.front();
        out.nodes.push_back(std::move(moved));
        n.op = graph::Flatten{};
        n.inputs = {static_cast<int>(out.nodes.size()) - 1};
      }
    }
    place.push_back(static_cast<int>(out.nodes.size()));
    out.nodes.push_back(std::move(n));
  }
  graph::keep_ancestors(out, static_cast<int>(out.nodes.size()) - 1);
  return out;
}

}  // namespace sotto::compiler
