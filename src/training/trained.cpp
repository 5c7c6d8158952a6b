#include "training/trained.h"

#include <utility>

#include "base/error.h"
#include "training/adapter_names.h"
#include "training/adapters.h"
#include "training/layers.h"
#include "training/map_features.h"

namespace sotto::training {

namespace {

// With a new last layer.
void replace_head(graph::Network& network, int classes) {
  graph::Node& last = network.nodes.back();
  auto* dense = std::get_if<graph::Dense>(&last.op);
  if (dense == nullptr)
    throw Error(ErrorCode::bad_input,
                "node '" + last.name + "': a new head takes the place of a dense layer with biases, which this is not");
  const auto outputs = static_cast<std::size_t>(classes);
  dense->out = classes;
  dense->weights.assign(outputs * static_cast<std::size_t>(dense->in), 0);
  dense->bias.assign(outputs, 0);
  last.shape = {classes, 1, 1};
  network.classes.clear();
}

}  // namespace

graph::Network network_to_train(graph::Network network, const Spec& spec) {
  if (spec.new_head != 0) replace_head(network, spec.new_head);
  if (!has_joined_features(spec)) return network;
  return with_joined_features(with_adapters(std::move(network), spec), spec);
}

std::vector<graph::NewWeights> weights_to_train(const graph::Network& network, const Spec& spec) {
  std::vector<graph::NewWeights> list;
  for (int i : layers_to_train(network, spec)) {
    graph::Node layer = network.nodes[static_cast<std::size_t>(i)];
    const bool head = spec.new_head != 0 && i + 1 == static_cast<int>(network.nodes.size());
    if (head || is_adapter_part(layer.name, spec)) continue;
    list.push_back({layer.name, false, numbers_of(layer, false)});
    graph::Node biased = network.nodes[static_cast<std::size_t>(bias_node(network, i))];
    list.push_back({biased.name, true, numbers_of(biased, true)});
  }
  return list;
}

graph::Network trained(graph::Network network, const Step& step, const std::vector<std::vector<double>>& weights) {
  for (std::size_t p = 0; p < step.parameters.size(); ++p) {
    const Parameter& parameter = step.parameters[p];
    std::vector<double>* found = nullptr;
    for (std::size_t i = 0; i < network.nodes.size(); ++i) {
      if (!has_weights(network.nodes[i])) continue;
      graph::Node& n = parameter.bias ? network.nodes[static_cast<std::size_t>(bias_node(network, static_cast<int>(i)))]
                                      : network.nodes[i];
      if (n.name == parameter.layer) found = &numbers_of(n, parameter.bias);
    }
    check(found != nullptr && found->size() == weights[p].size(), "weights of another network");
    *found = weights[p];
  }
  return network;
}

std::vector<graph::NewWeights> new_weights(const graph::Network& network, const Spec& spec, const Step& step,
                                           const std::vector<std::vector<double>>& weights) {
  std::vector<graph::NewWeights> out = merged(network, spec, step, weights);
  for (std::size_t p = 0; p < step.parameters.size(); ++p)
    if (const Parameter& w = step.parameters[p]; !is_adapter_part(w.layer, spec))
      out.push_back({w.layer, w.bias, weights[p]});
  return out;
}

}  // namespace sotto::training
