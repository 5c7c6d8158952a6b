#pragma once

#include <string>
#include <vector>

#include "circuit/circuit.h"

namespace sotto::training {

using circuit::Shape;

/// What the numbers of a value belong to.
enum class Space {
  map,     ///< to every image: a feature map [c][h][w]
  vector,  ///< to every image: `shape.channels` numbers, like scores, labels and their gradient
  kernel,  ///< to no image: [outs][c][kernel_h][kernel_w], the same for all pixels; biases are [outs][1][1][1]
  matrix,  ///< to no image: [outs][c][h][w], one for every pixel of the map that a dense layer reads
};

/// A tensor of a training step.
struct Value {
  std::string name;
  Space space = Space::map;
  int outs = 1;  ///< of kernels and matrices
  Shape shape;   ///< of maps and vectors their own; of kernels {inputs, kernel_h, kernel_w}; of matrices the map's

  /// Numbers of it, for one image if it belongs to images.
  [[nodiscard]] std::size_t size() const { return static_cast<std::size_t>(outs) * shape.size(); }
  /// Whether every image has its own.
  [[nodiscard]] bool per_image() const { return space == Space::map || space == Space::vector; }
};

/// Where a convolution's kernel lies: output pixel y reads input pixels y * stride + tap - pad.
struct Window {
  int stride_h = 1, stride_w = 1, pad_top = 0, pad_left = 0;
  int kernel_h = 1, kernel_w = 1;  ///< of pools; of convolutions their kernel says it
};

/// One operation of a training step: makes a value from earlier ones. Everything is a sum of products of two numbers at
/// most, so that it can run on ciphertexts.
struct Op {
  enum class Kind {
    convolve,             ///< map, kernel -> map
    convolve_transposed,  ///< map behind the convolution, kernel -> map before it: the gradient with respect to that
    convolve_weights,     ///< map before, map behind -> kernel, summed over images and pixels
    contract,             ///< map or vector, matrix -> vector: a dense layer
    contract_transposed,  ///< vector, matrix -> map or vector before it: the gradient with respect to that
    contract_weights,     ///< map or vector, vector -> matrix, summed over images
    add_bias,             ///< map or vector, kernel [c][1][1][1] -> the same with a number added to every channel
    sum_pixels,           ///< map or vector -> kernel [c][1][1][1], summed over images and pixels
    pool,                 ///< map -> map: means over windows
    pool_transposed,      ///< map behind the pool -> map before it: the gradient with respect to that
    mean,                 ///< map -> vector: means over all pixels
    mean_transposed,      ///< vector -> map like Op::like
    product,              ///< two of the same shape, number by number
    square,               ///< of one
    channels,             ///< map -> the channels of it from Op::first on, as many as the output has
    affine,               ///< shift + sum of factors[i] * inputs[i], all of the same shape
  };
  Kind kind = Kind::affine;
  int output = 0;           ///< index into Step::values
  std::vector<int> inputs;  ///< indices, in the order named above
  Window window = {};       ///< of convolutions and pools
  int like = -1;            ///< of mean_transposed: the map that the mean was of
  int first = 0;            ///< of channels
  std::vector<double> factors = {};
  double shift = 0;
};

/// Weights that are trained.
struct Parameter {
  std::string layer;            ///< name of the network's node
  bool bias = false;            ///< of that node; else its weights
  int value = 0;                ///< index into Step::values
  int gradient = -1;            ///< of the loss, summed over the images of a batch
  std::vector<double> initial;  ///< before the first step
};

/// Weights of a layer that is not trained: they stay as they are, in the clear.
struct Constant {
  int value = 0;  ///< index into Step::values
  std::vector<double> numbers;
};

/// One step of training as arithmetic: the network forwards, the loss, and backwards, by differentiation of the
/// network's graph. Which images, and what weights become by it, is the optimiser's matter (training/optimiser.h).
struct Step {
  std::vector<Value> values;
  std::vector<Op> ops;         ///< in an order in which all operands are there; each value is made once
  int images = 0, labels = 0;  ///< inputs; labels are one number per class, 1 for the right one and 0 for the others
  int scores = 0;              ///< what the network says
  int error = 0;               ///< gradient of an image's loss with respect to its scores
  std::vector<Parameter> parameters;
  std::vector<Constant> constants;

  [[nodiscard]] const Value& value(int v) const { return values[static_cast<std::size_t>(v)]; }
};

}  // namespace sotto::training
