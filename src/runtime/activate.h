#pragma once

#include "ckks/evaluator.h"
#include "plan/plan.h"

namespace sotto::runtime {

/// The activation of every slot of x, whose values lie in [-range, range]: activation.depth() limbs less, at exactly
/// this scale.
ckks::Ciphertext activate(const ckks::Evaluator& evaluator, ckks::Ciphertext x, const plan::Activation& activation,
                          double scale);

}  // namespace sotto::runtime
