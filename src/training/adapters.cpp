#include "training/adapters.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <set>
#include <string>

#include "base/error.h"
#include "base/text.h"
#include "training/adapter_names.h"
#include "training/layers.h"

namespace sotto::training {

using graph::Network;
using graph::Node;

namespace {

[[noreturn]] void fail(const std::string& layer, const std::string& what) {
  throw Error(ErrorCode::bad_input, "adapter of '" + readable_text(layer) + "': " + what);
}

// An adapter in a network without any.
struct Place {
  int layer = 0;             // the convolution
  int end = 0;               // the value that the adapter is added to
  std::vector<double> gain;  // by channel: what the nodes in between multiply the convolution's result by
  bool fixed_input = true;   // whether no trained layer lies before the convolution
};

// Odd, and padded so that output pixel y reads input pixel y * stride at its middle.
bool has_middle(int kernel, int pad) { return kernel % 2 == 1 && pad == kernel / 2; }

class Places {
 public:
  Places(const Network& network, const Spec& spec) : network_(network), spec_(spec), behind_(network.nodes.size()) {
    const std::set<int> trained = layers_to_train(network, spec);
    for (const Adapter& a : spec.adapters) places_.push_back({.layer = layer_of(a, trained)});
    // What depends on something trained.
    for (std::size_t i = 0; i < behind_.size(); ++i) {
      const auto adapted = [&](const Place& p) { return p.layer == static_cast<int>(i); };
      behind_[i] =
          trained.contains(static_cast<int>(i)) || std::ranges::any_of(places_, adapted) ||
          std::ranges::any_of(network.nodes[i].inputs, [&](int k) { return behind_[static_cast<std::size_t>(k)]; });
    }
    for (Place& p : places_) {
      p.fixed_input = !behind_[static_cast<std::size_t>(at(p.layer).inputs.front())];
      follow(p);
    }
  }

  [[nodiscard]] const std::vector<Place>& list() const { return places_; }

 private:
  [[nodiscard]] const Node& at(int i) const { return network_.nodes[static_cast<std::size_t>(i)]; }

  [[nodiscard]] int layer_of(const Adapter& adapter, const std::set<int>& trained) const {
    const auto found = std::ranges::find(network_.nodes, adapter.layer, &Node::name);
    const int i = static_cast<int>(found - network_.nodes.begin());
    const auto* c = found == network_.nodes.end() ? nullptr : std::get_if<graph::Conv2d>(&found->op);
    if (c == nullptr) fail(adapter.layer, "the network has no convolution of that name");
    if (trained.contains(i)) fail(adapter.layer, "the layer is trained itself");
    if (c->groups != 1 || c->dilation_h != 1 || c->dilation_w != 1)
      fail(adapter.layer, "convolutions with groups or dilation cannot have one");
    if (!has_middle(c->kernel_h, c->pad_top) || !has_middle(c->kernel_w, c->pad_left))
      fail(adapter.layer,
           "the kernel has no middle tap to write it to: its sides must be odd, k, and the padding (k - 1) / 2");
    return i;
  }

  // Behind the convolution, as long as one node alone reads it: sums with what stays, and factors for channels. What
  // they make of it is then the same for all steps of a training.
  void follow(Place& p) const {
    p.end = p.layer;
    p.gain.assign(static_cast<std::size_t>(at(p.layer).shape.c), 1);
    for (int next = only_reader(p.end); next >= 0; next = only_reader(p.end)) {
      const Node& n = at(next);
      if (const auto* a = std::get_if<graph::ChannelAffine>(&n.op)) {
        if (std::ranges::any_of(a->scale, [](double v) { return v == 0; })) return;
        for (std::size_t c = 0; c < p.gain.size(); ++c) p.gain[c] *= a->scale[c];
      } else if (std::holds_alternative<graph::Sum>(n.op)) {
        const int other = n.inputs[0] == p.end ? n.inputs[1] : n.inputs[0];
        if (behind_[static_cast<std::size_t>(other)]) return;
      } else {
        return;
      }
      p.end = next;
    }
  }

  // The only node that reads a value, once; or -1.
  [[nodiscard]] int only_reader(int value) const {
    int reader = -1;
    for (std::size_t i = 0; i < network_.nodes.size(); ++i)
      for (int k : network_.nodes[i].inputs)
        if (k == value) {
          if (reader >= 0) return -1;
          reader = static_cast<int>(i);
        }
    return reader;
  }

  const Network& network_;
  const Spec& spec_;
  std::vector<bool> behind_;
  std::vector<Place> places_;
};

graph::Conv2d single_tap(int out, int in) {
  graph::Conv2d c;
  c.out_c = out;
  c.in_c = in;
  c.weights.assign(static_cast<std::size_t>(out) * static_cast<std::size_t>(in), 0);
  c.bias.assign(static_cast<std::size_t>(out), 0);
  return c;
}

// Even numbers around zero of variance 1 / inputs (He et al., ICCV 2015, with a gain of 1): what comes out is as large
// as what goes in. The standard fixes the numbers of the generator, but not those of its distributions.
void start(graph::Conv2d& down, std::mt19937_64& random) {
  const double most = std::sqrt(3.0 / down.in_c);
  for (double& w : down.weights) w = most * (std::ldexp(static_cast<double>(random() >> 11), -52) - 1);
}

// Puts an adapter's nodes behind those of `out`; returns the sum. x, end: the places of what it reads and is added to.
int add_adapter(Network& out, const Adapter& adapter, const graph::Conv2d& layer, const Place& place, int x, int end,
                std::mt19937_64& random) {
  const auto add = [&](const std::string& name, graph::Op op, std::vector<int> inputs, const graph::Shape& shape) {
    out.nodes.push_back({name, std::move(op), std::move(inputs), shape});
    return static_cast<int>(out.nodes.size()) - 1;
  };
  graph::Shape shape = out.nodes[static_cast<std::size_t>(end)].shape;
  graph::Conv2d down = single_tap(adapter.rank, layer.in_c), up = single_tap(layer.out_c, adapter.rank);
  start(down, random);
  const bool strides = layer.stride_h != 1 || layer.stride_w != 1;
  if (strides && place.fixed_input) {  // what is not trained leaves pixels out beforehand
    graph::Rearrange pick{.stride_h = layer.stride_h, .stride_w = layer.stride_w};
    for (int c = 0; c < layer.in_c; ++c) pick.channels.push_back(c);
    x = add(adapter.layer + ".pixels", std::move(pick), {x}, {layer.in_c, shape.h, shape.w});
  } else {
    down.stride_h = layer.stride_h;
    down.stride_w = layer.stride_w;
  }
  const int narrow = add(down_of(adapter.layer), std::move(down), {x}, {adapter.rank, shape.h, shape.w});
  const int wide = add(up_of(adapter.layer), std::move(up), {narrow}, shape);
  return add(adapter.layer + ".adapted", graph::Sum{}, {end, wide}, shape);
}

}  // namespace

Network with_adapters(Network network, const Spec& spec) {
  if (spec.adapters.empty()) return network;
  const Places places(network, spec);
  Network out = network;
  out.nodes.clear();
  std::mt19937_64 random(spec.seed);
  std::vector<int> place;  // of a node's value, in `out`
  for (std::size_t i = 0; i < network.nodes.size(); ++i) {
    Node n = network.nodes[i];
    for (int& k : n.inputs) k = place[static_cast<std::size_t>(k)];
    place.push_back(static_cast<int>(out.nodes.size()));
    out.nodes.push_back(std::move(n));
    for (std::size_t a = 0; a < spec.adapters.size(); ++a) {
      const Place& p = places.list()[a];
      if (p.end != static_cast<int>(i)) continue;
      const Node& layer = network.nodes[static_cast<std::size_t>(p.layer)];
      place.back() = add_adapter(out, spec.adapters[a], std::get<graph::Conv2d>(layer.op), p,
                                 place[static_cast<std::size_t>(layer.inputs.front())], place.back(), random);
    }
  }
  return out;
}

std::vector<graph::NewWeights> merged(const Network& network, const Spec& spec, const Step& step,
                                      const std::vector<std::vector<double>>& weights) {
  const Places places(network, spec);
  const auto weights_of = [&](const std::string& name) -> const std::vector<double>& {
    const auto found = std::ranges::find(step.parameters, name, &Parameter::layer);
    check(found != step.parameters.end(), "an adapter that the step does not train");
    return weights[static_cast<std::size_t>(found - step.parameters.begin())];
  };
  std::vector<graph::NewWeights> out;
  for (std::size_t a = 0; a < spec.adapters.size(); ++a) {
    const Place& p = places.list()[a];
    const std::string& name = spec.adapters[a].layer;
    const auto& c = std::get<graph::Conv2d>(network.nodes[static_cast<std::size_t>(p.layer)].op);
    const std::vector<double>&down = weights_of(down_of(name)), &up = weights_of(up_of(name));
    const auto rank = static_cast<std::size_t>(spec.adapters[a].rank), ins = static_cast<std::size_t>(c.in_c);
    const auto plane = static_cast<std::size_t>(c.kernel_h) * static_cast<std::size_t>(c.kernel_w);
    graph::NewWeights& kernel = out.emplace_back(graph::NewWeights{name, false, c.weights});
    for (std::size_t o = 0; o < p.gain.size(); ++o)
      for (std::size_t i = 0; i < ins; ++i)
        for (std::size_t r = 0; r < rank; ++r)
          kernel.values[(o * ins + i) * plane + plane / 2] += up[o * rank + r] * down[r * ins + i] / p.gain[o];
  }
  return out;
}

}  // namespace sotto::training
