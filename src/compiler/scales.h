#pragma once

#include "compiler/bounds.h"
#include "plan/plan.h"

namespace sotto::compiler {

/// What a level takes: one prime, or two smaller ones where weights need more bits (docs/adr/0013).
struct LevelSize {
  int primes, bits;

  [[nodiscard]] int total() const { return primes * bits; }
};
inline constexpr LevelSize kOnePrime{1, 48}, kTwoPrimes{2, 30};

/// log2 of the scale of activations that suits plaintexts of this period. Larger scales drown the rounding of
/// divisions, smaller ones leave more bits to the weights, whose rounding grows with the period (docs/adr/0004).
double best_log_scale(int period, LevelSize size);

/// Sets the scales of all tensors and steps of a plan whose levels and parameters are set, and the peak of what is
/// bootstrapped. log_scale: of squares that squares read. bounds: of all tensors; only for plans that bootstrap.
void assign_scales(plan::Plan& plan, LevelSize size, double log_scale, const Bounds& bounds);

/// Whether a step of the plan ends so.
bool has(const plan::Plan& plan, plan::Step::Finish finish);

}  // namespace sotto::compiler
