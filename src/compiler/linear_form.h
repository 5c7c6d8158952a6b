#pragma once

#include <optional>
#include <vector>

#include "circuit/circuit.h"
#include "graph/network.h"

namespace sotto::compiler {

// `circuit` in what follows is one in the making: it holds the values that terms read.

/// A map of numbers as a sum of terms over values plus a bias: what an op computes before its square.
struct LinearForm {
  circuit::Shape shape;
  std::vector<circuit::Term> terms;
  std::vector<double> bias;  ///< [c][h][w]
  int depth = 0;             ///< levels below the input: the most of the values that it reads

  [[nodiscard]] std::size_t plane() const { return shape.plane(); }
};

/// alpha[c] * value + beta[c]. depth: of the value.
LinearForm value_form(const circuit::Circuit& circuit, int value, int depth, const std::vector<double>& alpha,
                      const std::vector<double>& beta);

/// Whether a form leaves numbers in slots that hold no pixel: the sum over a map leaves sums over parts of it there,
/// which may be larger than itself and leave the range of a polynomial.
bool spills(const circuit::Circuit& circuit, const LinearForm& l);

/// l = factor[c] * l + shift[c].
void scale(LinearForm& l, const std::vector<double>& factor, const std::vector<double>& shift);

/// l += r, of the same shape.
void add(LinearForm& l, LinearForm r);

/// The channels of all, one behind the other.
LinearForm concat(const circuit::Circuit& circuit, std::vector<LinearForm> parts);

/// The form with its pixels and channels moved; nothing if it is the sum of a map's pixels and pixels move.
std::optional<LinearForm> rearranged(const circuit::Circuit& circuit, const LinearForm& l, const graph::Rearrange& r,
                                     const graph::Shape& shape);

// A form *picks* if its terms do no more: kernels of one tap, at most one input channel for an output channel, no
// map of factors. Linear maps of such forms need no op in between.

bool picks(const circuit::Circuit& circuit, const LinearForm& l);

/// A convolution of a form that picks, times `map` (a factor per output pixel; empty: 1) without the bias. Nothing if
/// its padding would meet pixels that the form leaves out.
std::optional<LinearForm> convolved(const circuit::Circuit& circuit, const LinearForm& value, const graph::Conv2d& c,
                                    const graph::Shape& shape, const std::vector<double>& map);

/// Sums over all pixels of a form that picks: output o is bias[o] + sum of weights[o][channel][pixel] * value, or with
/// as many weights as channels [o][channel] * mean of the channel.
LinearForm fully_connected(const circuit::Circuit& circuit, const LinearForm& value, const std::vector<double>& weights,
                           const std::vector<double>& bias);

/// The mean of every channel.
LinearForm mean(const circuit::Circuit& circuit, const LinearForm& value);

/// Every pixel of every channel as a channel of its own.
LinearForm flattened(const circuit::Circuit& circuit, const LinearForm& value);

}  // namespace sotto::compiler
