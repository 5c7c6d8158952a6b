#pragma once

#include <onnx/onnx_pb.h>

#include <set>
#include <string>
#include <vector>

namespace sotto::graph {

/// The version of ONNX's own operators that a model uses. Throws Error{bad_input} if it names none or one before 11.
std::int64_t opset_of(const onnx::ModelProto& model);

/// The only output of a graph. Throws Error{bad_input} that names all of them if there are several.
const std::string& output_of(const onnx::GraphProto& graph);

/// The nodes that lead to `output`, in the order of the file: what else is there does not matter.
std::vector<const onnx::NodeProto*> needed_nodes(const onnx::GraphProto& graph, const std::string& output);

/// Replaces calls of functions that the model defines by their nodes. Throws Error{bad_input} if they call themselves
/// or make too many nodes.
void inline_functions(onnx::ModelProto& model);

}  // namespace sotto::graph
