#pragma once

#include <onnx/onnx_pb.h>

#include <map>
#include <string>

#include "graph/network.h"

namespace sotto::graph {

/// Reads preprocessing and class names from the model's metadata: `sotto.mean` and `sotto.std` (one number per input
/// channel, for pixels in [0, 1]; 0 and 1 where absent) and `sotto.classes` (one name per score), all separated by
/// commas. Throws Error{bad_input}.
void read_metadata(const onnx::ModelProto& model, Network& network);

/// Reads `sotto.relu_ranges`, a JSON object: the largest magnitude (positive) of the input of a Relu or another
/// activation by the name of the node's output or of the node. Empty where absent. Throws Error{bad_input}.
std::map<std::string, double> read_relu_ranges(const onnx::ModelProto& model);

}  // namespace sotto::graph
