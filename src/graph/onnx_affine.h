#pragma once

#include "graph/onnx_builder.h"

namespace sotto::graph {

/// scale * v + shift as a value of the network. Both broadcast to the value's dimensions without making it larger, and
/// must be equal within each channel of the network's node; if the value is a vector, its elements are the channels.
/// Throws Error{bad_input} that names the node.
Value affine(Builder& b, const OnnxNode& n, const Value& v, const Constant& scale, const Constant& shift);
/// -x for every channel.
ChannelAffine negative(int channels);
/// Makes it the node's output.
void set_affine(Builder& b, const OnnxNode& n, const Value& v, const Constant& scale, const Constant& shift);

}  // namespace sotto::graph
