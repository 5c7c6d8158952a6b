#pragma once

#include <functional>

#include "compiler/calibration.h"
#include "plan/plan.h"

namespace sotto::compiler {

/// Chooses what a run of a plan adds up for the owner of the images (docs/adr/0023): the input, results of activations,
/// and what is bootstrapped unless only activations read it. Needs levels, scales and the peak of bootstrapping. Bounds
/// are those of tensors whose values all have the largest magnitude that their range allows.
void place_probes(plan::Plan& plan);

/// How far bounds lie beyond the largest values of calibration images.
struct ProbeMargins {
  double probes, scores;
};
inline constexpr ProbeMargins kRealMargins{2, 6}, kMadeUpMargins{6, 32};

/// Narrows the bounds of the probes and of the scores to those of calibration images, on all threads of the current TBB
/// arena, and sets the id of the plan anew. progress(images done) is called by one thread at a time.
void measure_probes(plan::Plan& plan, const Calibration& calibration,
                    const std::function<void(std::size_t)>& progress = {});

}  // namespace sotto::compiler
