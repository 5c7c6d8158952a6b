#pragma once

#include <span>
#include <vector>

#include "plan/noise.h"
#include "plan/plan.h"

namespace sotto::compiler {

/// What rounding the weights of one term does to the sums of its step: variances in slots, for inputs whose slots have
/// a mean square of 1. Nearly always an output reads all inputs with weights that err alike, so that the variance from
/// input i is `common * left[i]`: of such outputs nothing is kept by pairs of channels, of which large networks have
/// millions.
struct WeightErrors {
  struct Pair {
    std::size_t channel = 0;  ///< the other one
    double variance = 0;
  };
  double common = 0;
  std::vector<double> left;                            ///< by input: what rounding together leaves
  std::vector<bool> alike;                             ///< by output
  std::vector<std::vector<Pair>> by_output, by_input;  ///< of all other outputs

  /// Adds the variances of all outputs to `sums`. energy: mean squares of the inputs' slots.
  void add_to(std::span<double> sums, std::span<const double> energy) const;
  /// Adds to `influence`, by input, what an input's mean square of 1 does if a variance in output o is worth worth[o].
  void add_back(std::span<double> influence, std::span<const double> worth) const;
};

/// By step and term. noise: plan::weight_noise of the plan.
std::vector<std::vector<WeightErrors>> weight_errors(const plan::Plan& plan,
                                                     const std::vector<std::vector<plan::WeightNoise>>& noise);

}  // namespace sotto::compiler
