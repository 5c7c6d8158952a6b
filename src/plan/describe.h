#pragma once

#include <string>

#include "plan/plan.h"

namespace sotto::plan {

/// A readable table: one line per step with layer, ciphertexts, level, scale, taps and rotations.
std::string describe(const Plan& plan);

}  // namespace sotto::plan
