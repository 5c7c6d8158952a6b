#pragma once

#include <onnx/onnx_pb.h>

#include <functional>
#include <optional>

#include "graph/function.h"

namespace sotto::graph {

/// An operator that maps every number of one of its inputs by itself.
struct Activation {
  Function function;
  int input = 0;  ///< which of the node's inputs; the others are constants
};

/// The activation that a node of the standard domain is, or nothing for other operators: Relu, Clip, Max and Min with a
/// constant, LeakyRelu, PRelu with one slope, Elu, Selu, Celu, Softplus, Softsign, Sigmoid, HardSigmoid, HardSwish,
/// Swish, Gelu, Tanh, Mish, Erf, Abs, Exp, Reciprocal. scalar(i): the i-th input if it is a constant of one number.
/// Throws Error{bad_input} for parameters that make no sense, without naming the node.
std::optional<Activation> read_activation(const onnx::NodeProto& node,
                                          const std::function<std::optional<double>(int)>& scalar);

}  // namespace sotto::graph
