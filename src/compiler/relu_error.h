#pragma once

#include <functional>

#include "graph/network.h"

namespace sotto::compiler {

/// Largest error of an activation's polynomial over the span of its values (of a ReLU: over its range), unless the user
/// asks for another; for networks of up to kFewRelus activations.
inline constexpr double kReluError = 0.0051;
inline constexpr int kFewRelus = 20;

/// kReluError, or half of it for networks with more activations, over which errors add up (docs/adr/0015).
double relu_error_for(const graph::Network& network);

/// The first of first, first / 2, first / 4, .. down to `least` for which agreement(error) is at least `wanted`; if
/// none is, the one with the most agreement.
double relu_error_reaching(double wanted, double first, double least, const std::function<double(double)>& agreement);

}  // namespace sotto::compiler
