#pragma once

#include <string>

#include "plan/plan.h"

namespace sotto::plan {

/// Identity of a plan for keys, inputs and outputs: hash of parameters, layout, key request, interface and weights.
std::string plan_id(const Plan& plan);

}  // namespace sotto::plan
