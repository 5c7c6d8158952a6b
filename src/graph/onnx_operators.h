#pragma once

#include "graph/onnx_builder.h"

namespace sotto::graph {

/// Imports one node whose inputs are not all known: adds nodes to the network or changes dimensions, and defines the
/// outputs. Throws Error{bad_input} that names the node if it cannot.
using ImportNode = void (*)(Builder&, const OnnxNode&);

/// nullptr: not supported.
ImportNode find_operator(const std::string& op_type);

// Layers (onnx_layers.cpp, onnx_pools.cpp).
void import_conv(Builder&, const OnnxNode&);
void import_batch_normalization(Builder&, const OnnxNode&);
void import_dense(Builder&, const OnnxNode&);
void import_average_pool(Builder&, const OnnxNode&);
void import_max_pool(Builder& b, const OnnxNode& n);
void import_global_max_pool(Builder& b, const OnnxNode& n);
void import_global_average_pool(Builder&, const OnnxNode&);
void import_reduce(Builder&, const OnnxNode&);

// Element by element (onnx_arithmetic.cpp, onnx_functions.cpp).
void import_arithmetic(Builder&, const OnnxNode&);
void import_negation(Builder&, const OnnxNode&);
/// False if the node is no activation.
bool import_activation(Builder&, const OnnxNode&);
void import_pow(Builder&, const OnnxNode&);
void import_comparison(Builder&, const OnnxNode&);
void import_where(Builder&, const OnnxNode&);

// The same elements under other dimensions (onnx_views.cpp).
void import_identity(Builder&, const OnnxNode&);
void import_dropout(Builder&, const OnnxNode&);
void import_cast(Builder&, const OnnxNode&);
void import_cast_like(Builder&, const OnnxNode&);
void import_flatten(Builder&, const OnnxNode&);
void import_reshape(Builder&, const OnnxNode&);
void import_squeeze(Builder&, const OnnxNode&);
void import_unsqueeze(Builder&, const OnnxNode&);
void import_softmax(Builder&, const OnnxNode&);
void import_arg_max(Builder&, const OnnxNode&);
void import_log(Builder&, const OnnxNode&);

// Elements moved, left out, or joined by zeros (onnx_moves.cpp).
void import_pad(Builder&, const OnnxNode&);
void import_slice(Builder&, const OnnxNode&);
void import_split(Builder&, const OnnxNode&);
void import_split_to_sequence(Builder&, const OnnxNode&);
void import_sequence_at(Builder&, const OnnxNode&);
void import_gather(Builder&, const OnnxNode&);
void import_transpose(Builder&, const OnnxNode&);
void import_concat(Builder&, const OnnxNode&);

}  // namespace sotto::graph
