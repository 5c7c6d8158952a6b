#pragma once

#include <vector>

#include "lowering/training_plan.h"
#include "training/example.h"
#include "training/moments.h"

namespace sotto::lowering {

/// By how much of their norm errors of encryption may change weights that follow from moments.
inline constexpr double kMostWeightError = 0.05;

/// Whether the moments of these examples, as the step sees them, will tell the weights in spite of the largest errors
/// of their encrypted sums: what masks let through, whose plaintexts are rounded. Such errors are drawn for a few
/// batches of a plan of normal equations, in float64. Throws as training::batches_of does.
bool moments_will_tell(const TrainingPlan& plan, const std::vector<training::Example>& seen);

}  // namespace sotto::lowering
