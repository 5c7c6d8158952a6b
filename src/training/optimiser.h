#pragma once

#include <cstddef>
#include <vector>

#include "training/spec.h"

namespace sotto::training {

/// One step of SGD as a linear map of weights w, velocities u and gradients g, these summed over a batch:
/// w' = ww w + wu u + wg g, u' = uw w + uu u + ug g.
///
/// u is the velocity of torch.optim.SGD times the spec's rate, so that w and u are of one magnitude.
struct Update {
  double ww = 1, wu = 0, wg = 0;
  double uw = 0, uu = 0, ug = 0;
};

/// The update of step 0, 1, .. (torch.optim.SGD with momentum, Nesterov and weight decay, dampening 0).
Update update_of(const Spec& spec, int step);

/// The least rate of all steps.
double least_rate(const Spec& spec);

/// The images of every batch: indices below `images`, spec.batch in each. The images are shuffled by the spec's seed
/// and cut into batches; what is left over is not used. Batches are encrypted once and serve many steps. Throws
/// Error{bad_input} if there are fewer images than one batch takes.
std::vector<std::vector<std::size_t>> batches_of(const Spec& spec, std::size_t images);

/// The batch that a step uses, 0 .. batches - 1: every pass takes all batches once, in an order of its own that depends
/// on the seed alone.
int batch_of(const Spec& spec, int batches, int step);

}  // namespace sotto::training
