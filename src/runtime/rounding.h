#pragma once

#include <span>
#include <vector>

namespace sotto::runtime {

/// Rounds real coefficient vectors to integers so that their errors cancel over inputs that look alike.
///
/// A masked tap's plaintext has a rounding error of about 3.3 in every slot, multiplied by what the tap reads.
/// Activations are squares, hence never negative, and the taps of one channel read neighbouring pixels: what such
/// inputs have in common is multiplied by the sum of the errors. So that sum is kept within half a unit, over each
/// group (one channel) and on the way from group to group, by rounding the other way those values for which it costs
/// least.
///
/// groups[g]: the vectors of group g, all of one length; rounded in place.
void round_together(std::span<const std::vector<std::span<double>>> groups);

}  // namespace sotto::runtime
