#pragma once

#include "graph/network.h"
#include "sotto/io.h"

namespace onnx {
class ModelProto;
}

namespace sotto::graph {

/// Reads an ONNX model (opset 11 up, any IR version): one image input [batch, c, h, w], or [batch, h, w] or
/// [batch, features], one output [batch, k]. Constants and shapes are computed, nodes that lead nowhere are dropped,
/// functions are inlined, a Softmax or ArgMax at the end is left out with a note (docs/adr/0020). Operators:
/// graph/onnx_operators.cpp, graph/onnx_activations.h, graph/onnx_fold.cpp. Metadata: sotto.mean, sotto.std,
/// sotto.classes (comma separated), sotto.relu_ranges (JSON). Throws Error{bad_input} that names node and operator for
/// anything else.
Network import_onnx(const Source& source);

/// The same for a model at hand; `source` says where its external data lie, and names it.
Network import_onnx(onnx::ModelProto model, const Source& source);

}  // namespace sotto::graph
