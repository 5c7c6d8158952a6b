#pragma once

#include "graph/network.h"
#include "training/spec.h"
#include "training/step_builder.h"

namespace sotto::training {

/// The network forwards as the first ops of a step, with a value for every layer's weights and biases. A polynomial
/// a x^2 + b x + c becomes affine(square(affine(x))), its square completed, as few levels as that takes.
///
/// Throws Error{bad_input} that names the node for what cannot be trained.
StepBuilder forward(const graph::Network& network, const Spec& spec);

}  // namespace sotto::training
