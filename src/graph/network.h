#pragma once

#include <string>
#include <variant>
#include <vector>

#include "graph/function.h"

namespace sotto::graph {

/// Shape of one image's value: channels, height, width. A flat vector of k values is {k, 1, 1}.
struct Shape {
  int c = 0, h = 0, w = 0;

  [[nodiscard]] std::size_t size() const { return static_cast<std::size_t>(c) * h * w; }
  bool operator==(const Shape&) const = default;
};

/// The image, already preprocessed.
struct Input {};

/// Cross-correlation with zero padding. weights [out][in / groups][kernel_h][kernel_w], bias [out].
struct Conv2d {
  int out_c = 0, in_c = 0, kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1;
  int pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0, groups = 1, dilation_h = 1, dilation_w = 1;
  std::vector<double> weights, bias;
};

/// scale[c] * x + shift[c].
struct ChannelAffine {
  std::vector<double> scale, shift;
};

/// x + values, which differ from pixel to pixel: [c][h][w].
struct PixelBias {
  std::vector<double> values;
};

/// Element-wise sum of two values of equal shape.
struct Sum {};

/// Element-wise product of two values of equal shape; or the second one has one pixel, which multiplies all of the
/// first.
struct Product {};

/// Mean over windows. Pads count as zeros if count_pad, else they are left out of the mean.
struct AveragePool {
  int kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1;
  int pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  bool count_pad = false;
};

/// Mean over all pixels.
struct GlobalAveragePool {};

/// {c, h, w} to {c h w, 1, 1}, row-major.
struct Flatten {};

/// weights [out][in], bias [out].
struct Dense {
  int out = 0, in = 0;
  std::vector<double> weights, bias;
};

/// Channels of all inputs, one behind the other; they agree in height and width.
struct Concat {};

/// Moves channels and pixels: crops, pads with zeros, strides, picks, repeats and permutes channels. Output pixel (y,
/// x) of channel c is input pixel (y * stride_h - pad_top, x * stride_w - pad_left) of channel channels[c]; it is zero
/// where that lies outside or channels[c] is -1. Negative pads crop.
struct Rearrange {
  std::vector<int> channels;
  int stride_h = 1, stride_w = 1, pad_top = 0, pad_left = 0;
};

using Op = std::variant<Input, Conv2d, ChannelAffine, Sum, Product, Function, AveragePool, GlobalAveragePool, Flatten,
                        Dense, Concat, Rearrange, PixelBias>;

/// One operation; inputs are indices of earlier nodes.
struct Node {
  std::string name;  ///< the ONNX node's name, for messages
  Op op;
  std::vector<int> inputs;
  Shape shape;
  double magnitude = 0;  ///< the largest of its values on images, 0 if nobody measured; polynomials are balanced by it
};

/// A network: nodes in topological order, the input first; the last node is the output.
struct Network {
  std::string name;
  std::vector<Node> nodes;
  std::vector<double> mean, std;     ///< per input channel, in units of pixel / 255
  std::vector<std::string> classes;  ///< may be empty
  std::vector<std::string> notes;    ///< what the model's user should know of how it was read, one line each

  [[nodiscard]] const Shape& input_shape() const { return nodes.front().shape; }
  [[nodiscard]] const Shape& output_shape() const { return nodes.back().shape; }
};

/// The largest height or width of any node.
int largest_side(const Network& network);

/// Multiply-adds of one image.
double multiply_adds(const Network& network);

/// Drops all nodes that `output` does not need and makes it the last one; the input stays the first.
void keep_ancestors(Network& network, int output);

/// A readable table of the nodes.
std::string describe(const Network& network);

}  // namespace sotto::graph
