#pragma once

#include <optional>
#include <vector>

#include "graph/network.h"
#include "plan/plan.h"

namespace sotto::compiler {

// `plan` in what follows is a plan in the making: its tile, and the tensors that terms read.

/// A map of values as a sum of terms over tensors plus a bias: what a step computes before its finish.
struct LinearForm {
  plan::Layout layout;
  std::vector<plan::Term> terms;
  std::vector<double> bias;  ///< [c][h][w]
  int depth = 0;             ///< the largest of its tensors' (Tensor::limbs while a network is lowered)

  [[nodiscard]] std::size_t plane() const { return static_cast<std::size_t>(layout.height) * layout.width; }
};

/// The size of the largest canvas (plan::Layout) that a map of the network needs: strides leave its pixels apart.
plan::Axes canvas_of(const graph::Network& network);

/// The layout of maps of another shape whose pixels lie `stride` times as far apart.
plan::Layout strided(const plan::Plan& plan, const plan::Layout& in, const graph::Shape& shape, int stride_h,
                     int stride_w);

/// alpha[c] * tensor + beta[c].
LinearForm tensor_form(const plan::Plan& plan, int tensor, const std::vector<double>& alpha,
                       const std::vector<double>& beta);

/// Whether a form leaves values in slots that hold no pixel: the sum over a map leaves sums over parts of it there,
/// which may be larger than itself and leave the range of a polynomial.
bool spills(const plan::Plan& plan, const LinearForm& l);

/// l = factor[c] * l + shift[c].
void scale(LinearForm& l, const std::vector<double>& factor, const std::vector<double>& shift);

/// l += r, in the layout of l.
void add(LinearForm& l, LinearForm r);

/// The channels of all, one behind the other, in the layout of the first.
LinearForm concat(const plan::Plan& plan, std::vector<LinearForm> parts);

/// The form with its pixels and channels moved; nothing if it is the sum of a map's pixels and pixels move.
std::optional<LinearForm> rearranged(const plan::Plan& plan, const LinearForm& l, const graph::Rearrange& r,
                                     const graph::Shape& shape);

// A *value* is a form whose terms only pick: kernels of one tap, at most one input channel for an output channel, no
// map of factors. Linear maps of values need no step in between.

bool is_value(const plan::Plan& plan, const LinearForm& l);

/// A convolution of a value, times `map` (a factor per output pixel; empty: 1) without the bias. Nothing if its padding
/// would meet pixels that the value leaves out.
std::optional<LinearForm> convolved(const plan::Plan& plan, const LinearForm& value, const graph::Conv2d& c,
                                    const graph::Shape& shape, const std::vector<double>& map);

/// Sums over all pixels of a value: output o is bias[o] + sum of weights[o][channel][pixel] * value, or with as many
/// weights as channels [o][channel] * mean of the channel.
LinearForm fully_connected(const plan::Plan& plan, const LinearForm& value, const std::vector<double>& weights,
                           const std::vector<double>& bias);

/// The mean of every channel.
LinearForm mean(const plan::Plan& plan, const LinearForm& value);

/// Every pixel of every channel as a channel of its own.
LinearForm flattened(const plan::Plan& plan, const LinearForm& value);

}  // namespace sotto::compiler
