#pragma once

#include <vector>

#include "graph/network.h"
#include "graph/onnx_weights.h"
#include "training/spec.h"
#include "training/step.h"

namespace sotto::training {

/// The network with the adapters of a spec: what a convolution makes of x, and what sums and batch normalisations right
/// behind it make of that, gets up(down(x)) added to it. `down`, NAME.down, is a convolution of one tap to `rank`
/// channels with the layer's strides and random weights that follow from the seed; `up`, NAME.up, goes back to all
/// channels and starts with zeros, so that the network does what it did.
///
/// Throws Error{bad_input} that names the layer: one that is no convolution or is trained itself, one with groups or
/// dilation, or with a window without a middle that lies on the pixel it makes, which leaves no place to write an
/// adapter to.
graph::Network with_adapters(graph::Network network, const Spec& spec);

/// The weights that convolutions of a network without adapters get for those of a step, by parameter: their middle taps
/// take them in.
std::vector<graph::NewWeights> merged(const graph::Network& network, const Spec& spec, const Step& step,
                                      const std::vector<std::vector<double>>& weights);

}  // namespace sotto::training
