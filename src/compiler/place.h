#pragma once

#include <optional>
#include <vector>

#include "plan/plan.h"

namespace sotto::compiler {

/// Where a plan bootstraps: after these steps, all tensors that later steps read.
struct Placement {
  std::vector<int> cuts;     ///< indices of steps, ascending; none: the network fits the modulus
  std::vector<int> precise;  ///< indices of products and squares that are divided by one more late prime
  bootstrap::BootstrapSpec bootstrapping;
  int limbs = 0;       ///< ciphertext primes of the parameters
  int special = 0;     ///< special primes
  double seconds = 0;  ///< predicted for a typical processor
};

/// The cheapest placement for a plan in a ring, without levels (see pack()): a shortest path over cuts, for every
/// number of limbs to raise to. The cost of a step is that of its key switches and products at the level where it runs,
/// the cost of a cut that of bootstrapping what is alive there. Products that get an extra prime count as a gain: their
/// weights are then exact, and what they read can be held at a scale that drowns the rounding of divisions. Squares
/// without late primes get one where they are bootstrapped.
///
/// Nothing if a single layer is deeper than a bootstrapping leaves.
std::optional<Placement> place(const plan::Plan& packed);

/// The plan with a bootstrapping step for every tensor alive at a cut, and limbs set everywhere: as few as the later
/// steps need. Scales and keys are not set.
plan::Plan insert_bootstraps(plan::Plan packed, const Placement& placement);

}  // namespace sotto::compiler
