#pragma once

#include <functional>
#include <vector>

#include "circuit/circuit.h"
#include "compiler/calibration.h"
#include "plan/plan.h"

namespace sotto::compiler {

/// How large the values of one channel are, and what errors in them do to the scores. Means over calibration images.
struct ChannelStatistics {
  double mean_square = 0;  ///< over pixels
  double largest = 0;      ///< magnitude that may occur: the largest seen, with the calibration's room
  double gradient = 0;     ///< sum over pixels and scores of (d score / d value)^2
};

/// Of a circuit; the same for every packing of it.
struct Statistics {
  std::vector<std::vector<ChannelStatistics>> values;  ///< [value][channel]
  std::vector<std::vector<ChannelStatistics>> sums;    ///< [op][channel]: of its sum, before the square
  std::vector<plan::Moments> moments;                  ///< [value]: of those that convolutions read
  bool made_up = false;                                ///< whether the images were

  /// The largest magnitude that the numbers of a value may have.
  [[nodiscard]] double largest(int value) const;
};

/// Runs the circuit in float64 on the images, on all threads of the current TBB arena. Inputs of activations are taken
/// into their ranges, and inputs and results of activations are bounded by them. progress(images done) is called after
/// each image, by one thread at a time, and may throw to end the measurement.
///
/// Throws Error{bad_input} if values grow too large for encrypted arithmetic.
Statistics measure(const circuit::Circuit& circuit, const Calibration& calibration,
                   const std::function<void(std::size_t)>& progress = {});

}  // namespace sotto::compiler
