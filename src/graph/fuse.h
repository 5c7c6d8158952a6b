#pragma once

#include <vector>

#include "graph/network.h"

namespace sotto::graph {

/// Turns every product of activations that depends on one earlier value x alone into one Function of x: x * sigmoid(x),
/// GELU as exporters write it, x * tanh(softplus(x)), or any other way of spelling such a function; every sum with
/// a comparison in it, as what Where makes of two sides; and every 1 / f(x), whose argument is traced back as far as it
/// depends on one value: f may keep away from the pole. Nodes in between stay where they are for others that read them
/// (keep_ancestors drops them). Products without an activation stay.
///
/// ranges: by node, the largest magnitude of its input that the model states, or 0. They become those of the Functions;
/// of a joined one: its own, or what that of an activation which reads a x + b says about x. Throws Error{bad_input} if
/// a range is that of a node without an activation.
void fuse_functions(Network& network, const std::vector<double>& ranges);

}  // namespace sotto::graph
