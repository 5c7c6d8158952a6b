#include "training/trained.h"

#include "base/error.h"

namespace sotto::training {

graph::Network trained(graph::Network network, const Step& step, const std::vector<std::vector<double>>& weights) {
  for (std::size_t p = 0; p < step.parameters.size(); ++p) {
    const Parameter& parameter = step.parameters[p];
    std::vector<double>* found = nullptr;
    for (graph::Node& n : network.nodes) {
      if (n.name != parameter.layer) continue;
      if (auto* c = std::get_if<graph::Conv2d>(&n.op)) found = parameter.bias ? &c->bias : &c->weights;
      if (auto* d = std::get_if<graph::Dense>(&n.op)) found = parameter.bias ? &d->bias : &d->weights;
      if (auto* a = std::get_if<graph::ChannelAffine>(&n.op)) found = &a->shift;
    }
    check(found != nullptr && found->size() == weights[p].size(), "weights of another network");
    *found = weights[p];
  }
  return network;
}

std::vector<graph::NewWeights> new_weights(const Step& step, const std::vector<std::vector<double>>& weights) {
  std::vector<graph::NewWeights> out;
  for (std::size_t p = 0; p < step.parameters.size(); ++p)
    out.push_back({step.parameters[p].layer, step.parameters[p].bias, weights[p]});
  return out;
}

}  // namespace sotto::training
