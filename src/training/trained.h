#pragma once

#include <vector>

#include "graph/network.h"
#include "graph/onnx_weights.h"
#include "training/step.h"

namespace sotto::training {

/// The network with trained weights, by parameter of the step.
graph::Network trained(graph::Network network, const Step& step, const std::vector<std::vector<double>>& weights);

/// The same for its file: what graph::write_onnx takes.
std::vector<graph::NewWeights> new_weights(const Step& step, const std::vector<std::vector<double>>& weights);

}  // namespace sotto::training
