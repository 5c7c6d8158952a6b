#pragma once

#include <vector>

#include "graph/network.h"
#include "graph/onnx_weights.h"
#include "training/spec.h"
#include "training/step.h"

namespace sotto::training {

/// The network that a spec trains: with a new last layer, of zeros, if it asks for one, and with its adapters, behind
/// joined features (training/map_features.h). Throws Error{bad_input} if the last node is no dense layer, or as
/// with_adapters does.
graph::Network network_to_train(graph::Network network, const Spec& spec);

/// The weights and biases that are trained from what the network's file has: not those of a new head or of adapters.
std::vector<graph::NewWeights> weights_to_train(const graph::Network& network, const Spec& spec);

/// The network with trained weights, by parameter of the step.
graph::Network trained(graph::Network network, const Step& step, const std::vector<std::vector<double>>& weights);

/// The same for its file: what graph::write_onnx takes. network: as the file has it.
std::vector<graph::NewWeights> new_weights(const graph::Network& network, const Spec& spec, const Step& step,
                                           const std::vector<std::vector<double>>& weights);

}  // namespace sotto::training
