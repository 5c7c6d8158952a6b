#pragma once

#include <cstddef>

#include "program/program.h"

namespace sotto::lowering {

/// What the levels of a step's program start from.
struct LevelChoice {
  bootstrap::BootstrapSpec bootstrapping;
  double state_scale = 0;  ///< of the state when it comes back from bootstrapping
  double image_scale = 0;  ///< of the images
  double least_scale = 0;  ///< of anything
};

/// Numbers that a run of the program brings along, in this order: those of an Update.
inline constexpr int kUpdateCoefficients = 6;

/// A training step as a program on ciphertexts.
struct LoweredStep {
  program::Program program;
  /// Inputs of the program: the state, then images [group][channel][phase], then labels [group][class]; outputs: the
  /// new state, then, if it makes steps of sgd, for each group the summed squared errors of its images.
  std::size_t images = 0, labels = 0, losses = 0;  ///< how many of each
  double state_scale = 1;                          ///< of the state between steps
};

}  // namespace sotto::lowering
