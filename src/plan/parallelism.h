#pragma once

#include "plan/cost.h"

namespace sotto::plan {

/// Predicted seconds of one run with any number of threads, from single-thread speeds: work comes in pieces (limbs of
/// the ciphertexts in flight; runs of a matrix product), and a last round of pieces may leave threads idle.
double seconds_with(const Plan& plan, const Cost& cost, const Speed& speed, int threads);

/// The same without end of threads, if all tasks of a step ran side by side (a run runs them one after the
/// other): what the plan allows at best.
double critical_path(const Plan& plan, const Cost& cost, const Speed& speed);

}  // namespace sotto::plan
