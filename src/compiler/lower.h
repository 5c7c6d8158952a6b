#pragma once

#include "graph/network.h"
#include "plan/plan.h"

namespace sotto::compiler {

/// Lowers a network to steps over squares for one packing (plan::Layout, `tile` T and `group` G): every activation a (x
/// + b/2a)^2 + c becomes a pure square, its shift part of the bias, its factors part of the next layer's weights.
/// Levels are depths here (limbs holds the number of divisions so far); scales and keys are not set.
plan::Plan lower(const graph::Network& network, int tile, int group);

/// How images become a network's input and scores come back.
plan::Interface interface_of(const graph::Network& network);

}  // namespace sotto::compiler
