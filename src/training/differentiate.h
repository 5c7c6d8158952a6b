#pragma once

#include "graph/network.h"
#include "training/spec.h"
#include "training/step.h"

namespace sotto::training {

/// The training step of a network: every layer that the spec names gets its weights as a value, and the loss is
/// differentiated with respect to it (reverse mode). Layers: convolutions without groups and dilation, dense layers,
/// polynomials of degree two, average pools, sums of values, flattening; layers that the spec does not name keep their
/// weights.
///
/// Throws Error{bad_input} that names the node for what cannot be trained.
Step differentiate(const graph::Network& network, const Spec& spec);

}  // namespace sotto::training
