#pragma once

#include <onnx/onnx_pb.h>

#include <map>
#include <string>

#include "graph/network.h"

namespace sotto::graph {

/// Reads preprocessing and class names from the model's metadata: `sotto.mean` and `sotto.std` (one number per input
/// channel, or one for all, for pixels in [0, 1]; 0 and 1 where absent, with a note) and `sotto.classes` (one name per
/// score), all separated by commas. A model whose input is raw (`raw`: integers) gets pixels as they are, 0 to 255:
/// mean 0 and std 1/255, and no other. Throws Error{bad_input}, also for numbers that only pixels in [0, 255] can have.
void read_metadata(const onnx::ModelProto& model, bool raw, Network& network);

/// Reads `sotto.relu_ranges`, a JSON object: the largest magnitude (positive) of the input of a Relu or another
/// activation by the name of the node's output or of the node. Empty where absent. Throws Error{bad_input}.
std::map<std::string, double> read_relu_ranges(const onnx::ModelProto& model);

}  // namespace sotto::graph
