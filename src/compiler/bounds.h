#pragma once

#include <functional>
#include <vector>

#include "plan/plan.h"

namespace sotto::compiler {

/// The largest magnitude that the values of a tensor may have, by tensor of a lowered plan (see lower()); the same for
/// every packing of a network.
using Bounds = std::vector<double>;

/// Preprocessed images that only have to be as lively as real ones: waves and noise, or, `extreme`, the same with every
/// channel black or white.
std::vector<std::vector<double>> made_up_images(const plan::Interface& io, bool extreme);

/// Runs a lowered plan in float64 on preprocessed images, on all threads of the current TBB arena. Without images it
/// makes some up (noise and waves) and multiplies the largest values by a wider margin: 4 instead of 1.5. Inputs and
/// results of activations are bounded by the activations' ranges; a plan with activations and no images is not run.
/// progress(images done) is called after each of them, by one thread at a time, and may throw to end the measurement.
Bounds measure_bounds(const plan::Plan& lowered, const std::vector<std::vector<double>>& images,
                      const std::function<void(std::size_t)>& progress = {});

}  // namespace sotto::compiler
