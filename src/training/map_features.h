#pragma once

#include <vector>

#include "graph/network.h"
#include "training/layers.h"
#include "training/spec.h"

namespace sotto::training {

// What layers behind a body read of it where that is maps: the features are then one map, the channels of all such
// values one behind the other.

/// The network with what its fixed part gives to the trained one joined: the fixed nodes, a Concat, which is the
/// features, a Rearrange that picks each value out of it, and the nodes behind. It computes what it did. Throws
/// Error{bad_input} if these values differ in height or width.
graph::Network with_joined_features(graph::Network network, const Spec& spec);

/// By channel of joined features: mean and deviation of the value that it belongs to, over images, channels and pixels,
/// so that undoing them is one factor and one summand for the whole value. features: [image][channel and pixel].
Standard standard_of_maps(const graph::Network& network, int features, const std::vector<std::vector<double>>& values);

/// The network behind joined features, which, standardised, are its images.
graph::Network head_behind_maps(const graph::Network& network, int features, const Standard& standard);

}  // namespace sotto::training
