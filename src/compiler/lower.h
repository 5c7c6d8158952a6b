#pragma once

#include "graph/network.h"
#include "plan/plan.h"

namespace sotto::compiler {

/// Largest error of a ReLU's polynomial over its range, unless the user asks for another; for networks of up to
/// kFewRelus ReLUs.
inline constexpr double kReluError = 0.0051;
inline constexpr int kFewRelus = 20;

/// kReluError, or half of it for networks with more ReLUs, over which errors add up (docs/adr/0015).
double relu_error_for(const graph::Network& network);

/// Lowers a network to steps over squares for one packing (plan::Layout, `tile` T and `group` G): every activation a (x
/// + b/2a)^2 + c becomes a pure square, its shift part of the bias, its factors part of the next layer's weights.
/// A Relu becomes a step of its own by polynomials (compiler/relu_approximation.h) whose error is at most `relu_error`
/// times the range of its input. Levels are depths here (limbs holds the number of divisions so far); scales and keys
/// are not set.
plan::Plan lower(const graph::Network& network, int tile, int group, double relu_error = kReluError);

/// How images become a network's input and scores come back.
plan::Interface interface_of(const graph::Network& network);

}  // namespace sotto::compiler
