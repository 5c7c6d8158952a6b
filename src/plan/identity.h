#pragma once

#include <string>

#include "plan/plan.h"

namespace sotto::plan {

/// Identity of a plan for keys, inputs and outputs: a hash of its serial form (plan/serial_form.h) without names.
std::string plan_id(const Plan& plan);

}  // namespace sotto::plan
