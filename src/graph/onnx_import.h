#pragma once

#include <filesystem>

#include "graph/network.h"

namespace sotto::graph {

/// Reads an ONNX model (opset 13 up): one image input [batch, c, h, w], one output [batch, k].
///
/// Operators: Conv, BatchNormalization, Add, Sub, Mul, Div, Pow, Neg, activations (graph/onnx_activations.h),
/// AveragePool, GlobalAveragePool, ReduceMean (spatial), Flatten, Reshape (to 2-D), Squeeze (spatial), Gemm, MatMul,
/// Identity, Dropout, Cast, Constant. Metadata:
/// sotto.mean, sotto.std, sotto.classes (comma separated), sotto.relu_ranges (JSON). Throws Error{bad_input} that names
/// node and operator for anything else.
Network import_onnx(const std::filesystem::path& path);

}  // namespace sotto::graph
