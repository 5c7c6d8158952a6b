#pragma once

#include "training/twin.h"

namespace sotto::training {

/// Throws Error{bad_input} for an example whose image or label is not one of the step's.
void check_example(const Step& step, const Example& example);

}  // namespace sotto::training
