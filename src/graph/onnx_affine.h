#pragma once

#include "graph/onnx_builder.h"

namespace sotto::graph {

/// Makes scale * v + shift the node's output. Both broadcast to the value's dimensions without making it larger, and
/// must be equal within each channel of the network's node; if the value is a vector, its elements are the channels.
/// Throws Error{bad_input} that names the node.
void set_affine(Builder& b, const OnnxNode& n, const Value& v, const Constant& scale, const Constant& shift);

}  // namespace sotto::graph
