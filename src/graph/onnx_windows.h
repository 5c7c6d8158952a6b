#pragma once

#include "graph/network.h"
#include "graph/onnx_node.h"

namespace sotto::graph {

/// The windows of a convolution or pool along one axis.
struct WindowAxis {
  int size = 1;  ///< of the input
  int kernel = 1, stride = 1, dilation = 1, before = 0, after = 0;
  int beyond = 0;  ///< places that the last window covers behind the padding (ceil_mode)
  int count = 1;

  [[nodiscard]] bool padded() const { return before != 0 || after != 0; }
};

struct Windows {
  WindowAxis h, w;

  [[nodiscard]] bool padded() const { return h.padded() || w.padded(); }
  [[nodiscard]] Shape output(int channels) const { return {channels, h.count, w.count}; }
};

/// Reads strides, dilations, pads, auto_pad and ceil_mode for kernels over a value of this shape; `kernel` has one
/// element per spatial axis, one (height only) or two. Throws Error{bad_input} that names the node.
Windows windows_of(const OnnxNode& n, const Shape& input, const Dims& kernel);

/// If `node` only adds zeros around its input, the padding it adds before and after; nullopt otherwise.
struct ZeroBorder {
  int top, left, bottom, right;
};
std::optional<ZeroBorder> zero_border(const Network& network, int node);

}  // namespace sotto::graph
