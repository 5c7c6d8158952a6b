#pragma once

#include <vector>

#include "training/step.h"

namespace sotto::training {

/// One image with its label.
struct Example {
  std::vector<double> image;  ///< preprocessed, [c][h][w]
  int label = 0;
};

/// Throws Error{bad_input} for an example whose image or label is not one of the step's.
void check_example(const Step& step, const Example& example);

}  // namespace sotto::training
