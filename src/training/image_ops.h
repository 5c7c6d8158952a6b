#pragma once

#include <vector>

#include "training/step.h"

namespace sotto::training {

/// Runs an op of a step for one image in float64. values: by index of the step; those of the op's inputs are there.
/// What belongs to images is made anew in values[op.output]; what is summed over images (kernels, matrices) is added to
/// it.
void run_op(const Step& step, const Op& op, std::vector<std::vector<double>>& values);

}  // namespace sotto::training
