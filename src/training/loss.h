#pragma once

#include "training/spec.h"
#include "training/step_builder.h"

namespace sotto::training {

/// Adds the gradient of an image's loss with respect to its scores, a vector, to a step that has scores and labels.
/// Returns the value.
int add_error(StepBuilder& builder, Spec::Loss loss);

/// What the labels of an image hold that is not there, whose scores are zero: its error is zero, too.
double absent_label(Spec::Loss loss, int classes);

/// The largest loss (half the summed squares of its error) of an image whose scores lie within what the loss is meant
/// for.
double most_loss(Spec::Loss loss);

}  // namespace sotto::training
