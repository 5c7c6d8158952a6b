#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace sotto::circuit {

/// The size of a feature map.
struct Shape {
  int channels = 0, height = 0, width = 0;

  [[nodiscard]] std::size_t plane() const { return static_cast<std::size_t>(height) * static_cast<std::size_t>(width); }
  [[nodiscard]] std::size_t size() const { return static_cast<std::size_t>(channels) * plane(); }
  bool operator==(const Shape&) const = default;
};

/// Channels that a term connects: every output in [out, out + outs) with every input in [in, in + ins).
struct Block {
  int out = 0, outs = 0, in = 0, ins = 0;

  bool operator==(const Block&) const = default;
};

/// A linear map of one value, one summand of an op.
struct Term {
  enum class Kind {
    convolution,  ///< output pixel y reads input pixels y * stride + tap * dilation - pad
    full,         ///< reads all pixels: output is 1 x 1
    copy,         ///< the value itself, no weights: an operand of an op that works number by number
  };
  Kind kind = Kind::convolution;
  int source = 0;  ///< index into Circuit::values
  int kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1;
  int pad_top = 0, pad_left = 0;  ///< negative: the first pixels are skipped
  /// Block after block [outs][ins][kernel_h][kernel_w], or [outs][ins][height][width] of the source.
  std::vector<double> weights;
  int dilation_h = 1, dilation_w = 1;
  std::vector<Block> blocks = {};  ///< no pair of channels twice; empty: one block of all channels
  std::vector<double> map = {};    ///< of a convolution: a factor for every output pixel; empty: 1
  bool even = false;  ///< of a full term: one weight for all pixels of a pair of channels, as behind a mean
};

/// Ranges of activations are smaller.
inline constexpr double kMostRange = 0x1p40;

/// A function of one real number by polynomials over [-1, 1] (compiler/function_approximation.h): range f(x / range),
/// where f is the last factor's value or, with `gate`, that times its argument.
struct Activation {
  double range = 1;                          ///< |x| may not exceed it; below kMostRange
  bool gate = false;                         ///< f(t) = t g(t) with g the composition of the factors; else f = g
  std::vector<std::vector<double>> factors;  ///< Chebyshev coefficients, innermost first

  /// Levels that it takes.
  [[nodiscard]] int depth() const;
  [[nodiscard]] double operator()(double x) const;
};

/// One operation: makes a value from earlier ones.
struct Op {
  enum class Kind {
    sum,        ///< the sum of the terms and the bias
    square,     ///< the square of that sum
    multiply,   ///< the product of two copied values; the second one may have a single pixel, for all of the first
    activate,   ///< `activation` of a copied value
    bootstrap,  ///< a copied value itself, with its levels back (only in plans)
  };
  std::string name;
  int output = 0;  ///< index into Circuit::values
  std::vector<Term> terms;
  std::vector<double> bias;  ///< one per channel, or one per channel and pixel (zero padding makes borders differ)
  Kind kind = Kind::sum;
  Activation activation = {};  ///< of Kind::activate

  /// Whether it works number by number on copies, without weights and bias.
  [[nodiscard]] bool slotwise() const { return kind != Kind::sum && kind != Kind::square; }
};

/// An operation on copied values.
Op copy_op(const std::string& name, int output, const std::vector<int>& sources, Op::Kind kind);

/// A feature map that a circuit reads or makes.
struct Value {
  std::string name;
  Shape shape;
};

/// A network as arithmetic: what is computed, in sums, squares, products and polynomials, without packing, levels or
/// keys.
struct Circuit {
  std::vector<Value> values;  ///< values[0] is the input, the last op's output the scores
  std::vector<Op> ops;        ///< in an order in which all operands are there; each value is made once

  [[nodiscard]] const Value& value(int v) const { return values[static_cast<std::size_t>(v)]; }
  [[nodiscard]] bool has(Op::Kind kind) const;
};

/// Drops ops whose output nothing reads, and their values.
void drop_unread(Circuit& circuit);

}  // namespace sotto::circuit
