#pragma once

#include <vector>

#include "compiler/statistics.h"
#include "plan/noise.h"
#include "plan/plan.h"

namespace sotto::compiler {

/// What rounding the weights of one term does to the sums of its step: squared errors, for slots that hold the values
/// themselves. Nearly always an output reads all inputs with weights that err alike, so that the error from input i is
/// `common * energy[i]`: of such outputs nothing is kept by pairs of channels, of which large networks have millions.
struct WeightErrors {
  struct Pair {
    std::size_t channel = 0;  ///< the other one
    double error = 0;
  };
  double common = 0;
  std::vector<double> energy;                          ///< by input: what rounding leaves of its mean square
  std::vector<bool> alike;                             ///< by output
  std::vector<std::vector<Pair>> by_output, by_input;  ///< of all other outputs
};

/// By step and term. statistics: of the plan's own tensors; noise: plan::weight_noise of the plan.
std::vector<std::vector<WeightErrors>> weight_errors(const plan::Plan& plan, const Statistics& statistics,
                                                     const std::vector<std::vector<plan::WeightNoise>>& noise);

}  // namespace sotto::compiler
