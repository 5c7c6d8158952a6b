#pragma once

#include "graph/onnx_node.h"

namespace sotto::graph {

/// Whether fold_math knows the operator: arithmetic and comparisons with broadcasting, functions of one number,
/// reductions.
bool folds_math(const std::string& op_type);

/// The output of such a node, as for fold(). Integers stay integers; an operand that is the free batch size is allowed
/// where the result is known all the same.
Constant fold_math(const OnnxNode& n, const std::vector<const Constant*>& inputs, std::size_t most);

}  // namespace sotto::graph
