#pragma once

#include <cmath>
#include <functional>

#include "compiler/lower.h"
#include "compiler/statistics.h"
#include "compiler/weight_errors.h"
#include "graph/network.h"
#include "plan/plan.h"

namespace sotto::compiler {

/// What the user may choose about a plan.
struct Options {
  /// Images per run at least, if the network's maps allow it; the plan's batch is the next size that fills the
  /// slots.
  int batch = 1024;
  int group = 1;                   ///< channels per ciphertext, a power of two up to plan::kMaxGroup
  double relu_error = kReluError;  ///< largest error of a ReLU's polynomial over its range, 2^-20 .. 1/4
  /// With bootstrapping: an extra prime for every square, which takes more time. Without: bootstraps if the modulus has
  /// no room for the score error that is asked for.
  bool precise = false;
  /// Root mean square error of the scores that encryption may make: more of the modulus is spent until it is predicted
  /// to be kept, or until there is no more. Infinite: whatever comes cheapest.
  double score_error = HUGE_VAL;
  /// The same where it costs only seconds.
  double cheap_score_error = HUGE_VAL;
  /// Statistics of the network's values (statistics_of); default: from made-up images.
  std::function<const Statistics&()> statistics = {};
};

/// Statistics of a network's values (see measure()), for every packing of it.
Statistics statistics_of(const graph::Network& network, const Calibration& calibration, double relu_error = kReluError,
                         const std::function<void(std::size_t)>& progress = {});

/// The network lowered as statistics are measured on: in the packing of the largest tile.
plan::Plan lower_for_statistics(const graph::Network& network, double relu_error = kReluError);

/// A plan and what its levels and scales are predicted to do to the scores.
struct Compiled {
  plan::Plan plan;
  double score_error = 0;           ///< root mean square, over scores, of the errors of encryption
  std::vector<double> step_errors;  ///< the part of every step
  std::vector<std::vector<WeightErrors>> weight_errors = {};  ///< by step and term
  std::vector<double> rotated = {};                           ///< by tensor: plan::rotated_share

  /// The step that errs most.
  [[nodiscard]] const plan::Step& worst() const;
};

/// Turns a network into a plan: squares completed, levels and scales assigned, packing and keys chosen.
///
/// Throws Error{bad_input} for what cannot run encrypted (naming the node), Error{no_resources} if one
/// layer needs more levels than bootstrapping leaves at 128-bit security.
Compiled compile(const graph::Network& network, const Options& options);

}  // namespace sotto::compiler
