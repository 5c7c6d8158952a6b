#pragma once

#include "shared.h"

namespace sotto::python {

/// Adds TrainingPlan, which both modules have, and TrainingResult.
void bind_training(nb::module_& module);

}  // namespace sotto::python
