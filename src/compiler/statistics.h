#pragma once

#include <functional>
#include <vector>

#include "compiler/calibration.h"
#include "plan/plan.h"

namespace sotto::compiler {

/// How large the values of one channel are, and what errors in them do to the scores. Means over calibration images.
struct ChannelStatistics {
  double mean_square = 0;  ///< over pixels
  double largest = 0;      ///< magnitude that may occur: the largest seen, with the calibration's room
  double gradient = 0;     ///< sum over pixels and scores of (d score / d value)^2
};

/// Of a lowered plan (compiler/lower.h); the same for every packing of a network.
struct Statistics {
  std::vector<std::vector<ChannelStatistics>> tensors;  ///< [tensor][channel]
  std::vector<std::vector<ChannelStatistics>> sums;     ///< [step][channel]: of its sum, before the finish
  std::vector<plan::Moments> moments;                   ///< [tensor]: of those that convolutions read
  bool made_up = false;                                 ///< whether the images were

  /// The largest magnitude that a tensor's values may have.
  [[nodiscard]] double largest(int tensor) const;
};

/// Runs the plan in float64 on the images, on all threads of the current TBB arena. Inputs of activations are taken
/// into their ranges, and inputs and results of activations are bounded by them. progress(images done) is called after
/// each image, by one thread at a time, and may throw to end the measurement.
///
/// Throws Error{bad_input} if values grow too large for encrypted arithmetic.
Statistics measure(const plan::Plan& lowered, const Calibration& calibration,
                   const std::function<void(std::size_t)>& progress = {});

}  // namespace sotto::compiler
