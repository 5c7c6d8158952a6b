#pragma once

#include <functional>
#include <optional>

#include "compiler/bounds.h"
#include "compiler/lower.h"
#include "graph/network.h"
#include "plan/plan.h"

namespace sotto::compiler {

/// What the user may choose about a plan.
struct Options {
  /// Images per run at least, if the network's strides allow it; the plan's batch is the next size that fills the
  /// slots.
  int batch = 1024;
  int group = 1;  ///< channels per ciphertext, a power of two up to plan::kMaxGroup
  std::optional<double> log_scale =
      std::nullopt;                ///< log2 of the scale of activations; default: the best for the packing
  double relu_error = kReluError;  ///< largest error of a ReLU's polynomial over its range, 2^-20 .. 1/4
  bool precise = false;            ///< with bootstrapping: an extra prime for every square, which takes more time
  /// Bounds of the network's values (bounds_of), asked for only if they are needed; default: from made-up images.
  std::function<Bounds()> bounds = {};
};

/// Bounds of a network's values from preprocessed images (see measure_bounds()), for every packing of it.
Bounds bounds_of(const graph::Network& network, const std::vector<std::vector<double>>& images,
                 double relu_error = kReluError, const std::function<void(std::size_t)>& progress = {});

/// Turns a network into a plan: squares completed, levels and scales assigned, packing and keys chosen.
///
/// Throws Error{bad_input} for what cannot run encrypted (naming the node), Error{no_resources} if one
/// layer needs more levels than bootstrapping leaves at 128-bit security.
plan::Plan compile(const graph::Network& network, const Options& options);

}  // namespace sotto::compiler
