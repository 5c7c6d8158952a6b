#pragma once

#include "graph/onnx_node.h"

namespace sotto::graph {

/// Whether nodes of this operator are computed at import if all their inputs are known.
bool folds(const std::string& op_type);

/// The outputs of a node whose inputs are known; nullptr: left out. Throws Error{bad_input} that names the node for
/// anything that is not defined, and if an output would be larger than `most` elements and all inputs together.
std::vector<Constant> fold(const OnnxNode& n, const std::vector<const Constant*>& inputs, std::size_t most);

}  // namespace sotto::graph
