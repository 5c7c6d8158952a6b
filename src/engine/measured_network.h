#pragma once

#include <optional>

#include "compiler/calibration.h"
#include "compiler/compile.h"
#include "compiler/planning_hooks.h"
#include "compiler/prediction.h"
#include "graph/network.h"

namespace sotto::engine {

/// A network and what calibration images show of it: everything that plans of it are made from, in any packing.
struct MeasuredNetwork {
  graph::Network network;
  compiler::Calibration calibration;
  compiler::Reference reference;
  compiler::MeasuredCircuit circuit;
  double function_error = compiler::kReluError;  ///< of the polynomials that stand for activations, over their range
  double faint_error =
      0;  ///< of scores, by those polynomials: the largest on made-up faint pictures, if none are given
};

/// Runs the float network on calibration images (see compiler::calibration_from and made_up_calibration) and measures
/// its values. Of many images, or where one takes long, some at equal distances are used.
///
/// agreement: part of the labels that the polynomials for ReLUs and the like must keep, 0 .. 1.
/// function_error: their largest error over their range; without it, the largest one with that agreement.
/// hooks.note hears what predictions and marks do not cover.
/// Throws Error{bad_input} for a network that cannot run encrypted, naming the node, or whose values grow too large,
/// and for images that are all the same.
MeasuredNetwork measure(graph::Network network, compiler::Calibration calibration, double agreement,
                        std::optional<double> function_error = std::nullopt, const compiler::PlanningHooks& hooks = {});

}  // namespace sotto::engine
