#pragma once

#include "circuit/circuit.h"
#include "compiler/relu_error.h"
#include "graph/network.h"
#include "plan/plan.h"

namespace sotto::compiler {

/// What a circuit may end in: scores, a vector, for their reader; a map only for someone who goes on with it.
enum class Output { scores, map };

/// Lowers a network to sums, squares, products and polynomials: every quadratic activation a (x + b/2a)^2 + c becomes a
/// pure square, its shift part of the bias, its factors part of the next layer's weights; polynomials of higher degree
/// become squares of squares (compiler/polynomial.h). Other activations become ops of their own by polynomials
/// (compiler/function_approximation.h) whose error is at most `relu_error` times the span of their values.
///
/// Throws Error{bad_input} for what cannot run encrypted, Error{no_resources} for an activation that no polynomial
/// comes close to.
circuit::Circuit lower(const graph::Network& network, double relu_error = kReluError, Output output = Output::scores);

/// How images become a network's input and scores come back.
plan::Interface interface_of(const graph::Network& network);

}  // namespace sotto::compiler
