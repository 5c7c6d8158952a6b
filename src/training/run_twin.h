#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "training/twin.h"

namespace sotto::training {

/// What the twin did in one step.
struct TwinStep {
  int batch = 0;        ///< the one it used, 0 .. batches - 1 (batches_of)
  Twin::Result result;  ///< before its update
  State state;          ///< after it
};

/// Trains in float64 from the network's weights for all steps of the spec, with the batches that encrypted training
/// uses. noise: standard deviation, as a part of the spec's range, of an error that every weight gets after each step,
/// as encryption does (drawn from the spec's seed; normal equations take none). progress is called after every step if
/// given.
/// Throws Error{bad_input} if there are fewer examples than one batch takes, or for one that does not fit the network.
std::vector<TwinStep> run_twin(const Step& step, const Spec& spec, const std::vector<Example>& examples,
                               double noise = 0, const std::function<void(const TwinStep&)>& progress = {});

}  // namespace sotto::training
