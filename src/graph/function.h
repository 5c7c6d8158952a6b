#pragma once

#include <span>
#include <string>
#include <vector>

namespace sotto::graph {

/// A function of one real number, applied to every value of a feature map: an activation.
///
/// A short program. Value 0 is the argument, step k computes value k + 1 from earlier ones, the last value is the
/// result. Most activations are one step; x * sigmoid(x) or GELU as exporters write them are several (graph/fuse.h).
struct Function {
  enum class Kind {
    relu,
    clip,        ///< between alpha and beta, which may be infinite
    leaky_relu,  ///< x or, below 0, alpha x
    elu,         ///< x or, below 0, alpha (e^x - 1)
    selu,        ///< beta times elu
    celu,        ///< x or, below 0, alpha (e^(x / alpha) - 1)
    softplus,
    softsign,
    sigmoid,
    hard_sigmoid,  ///< alpha x + beta, between 0 and 1
    hard_swish,    ///< x times a hard sigmoid of 1/6 and 1/2
    silu,          ///< x sigmoid(alpha x)
    gelu,
    gelu_tanh,  ///< GELU by its approximation with tanh
    tanh,
    mish,
    erf,
    abs,
    exp,
    reciprocal,  ///< 1 / x; runs only as a part of what has no pole (graph/fuse.h)
    greater,     ///< 1 for x > alpha, or x >= alpha if beta is not 0; else 0
    affine,      ///< alpha x + beta
    sum,
    product,
  };
  struct Step {
    Kind kind = Kind::relu;
    double alpha = 0, beta = 0;
    int left = 0, right = 0;  ///< values that it reads; right: of sum and product only
  };

  std::vector<Step> steps;
  double range = 0;  ///< the model's owner vouches that |x| is at most this; 0 if nobody does

  /// A function of one step.
  static Function of(Kind kind, double alpha = 0, double beta = 0);

  [[nodiscard]] double operator()(double x) const;
  /// Replaces every value by the function of it.
  void apply(std::span<double> values) const;
  /// Whether it divides by something that is zero, or nearly so, for some argument.
  [[nodiscard]] bool has_pole() const;
  /// The operators that it consists of, for people: "Relu", "Sigmoid * Affine".
  [[nodiscard]] std::string name() const;

 private:
  /// All values of the program for the argument at[0].
  void run(std::span<double> at) const;
  /// Whether a value of the program is zero, or nearly so, for some argument.
  [[nodiscard]] bool divides_by_zero(std::size_t value) const;
};

}  // namespace sotto::graph
