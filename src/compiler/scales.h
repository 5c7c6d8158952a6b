#pragma once

#include <cstdint>
#include <vector>

#include "compiler/statistics.h"
#include "compiler/weight_errors.h"
#include "plan/plan.h"

namespace sotto::compiler {

/// Scales of a plan's tensors, channel by channel, and what error of the scores they leave.
struct Scales {
  std::vector<std::vector<double>> log2;  ///< [tensor][channel]: a slot holds value * 2^log2
  std::vector<double> variance;           ///< by step: what it adds to the sum of squared errors of the scores
  [[nodiscard]] double total_variance() const;
};

/// The scales of least error for a plan with levels and parameters. A channel with a larger scale suffers less from the
/// rounding of divisions and more from that of the weights that read it; with the statistics of a network both are
/// sums of powers of the scales, so that the least sum is found by descent (docs/adr/0025). Values stay within the
/// modulus of the steps that read them, what is bootstrapped fills the range of its circuit, arguments of polynomials
/// have the scale of their prime. statistics: of the plan's own tensors and steps; errors: weight_errors of the plan;
/// rotated: plan::rotated_share; primes: those of the plan's ciphertexts, and any more of its ring; near: scales of the
/// same tensors with other levels, from where descent is shorter.
Scales choose_scales(const plan::Plan& plan, const Statistics& statistics,
                     const std::vector<std::vector<WeightErrors>>& errors, const std::vector<double>& rotated,
                     const std::vector<std::uint64_t>& primes, const Scales* near = nullptr);

/// Gives a plan these scales: what channels of one tensor have different becomes part of the weights around it.
void apply_scales(plan::Plan& plan, const Scales& scales);

}  // namespace sotto::compiler
