#pragma once

#include <vector>

#include "client/doubt.h"
#include "client/scores.h"
#include "plan/probe.h"

namespace sotto::client {

/// Marks images whose best scores lie so close that errors of encryption may exchange them (Doubt::error), the closest
/// first, until the labels of all images without a mark are expected to be those of the float network as often as the
/// plan promises (watch.agreement). Networks that keep the promise on these images get no mark.
///
/// Errors are taken as independent and Gaussian, of the predicted size; where scores lie farther apart than those on
/// which it was predicted, errors are larger in the same proportion. Where scores of an image lie hardly farther apart
/// than errors, they say little, and most or all images are marked.
void mark_close_scores(const plan::Watch& watch, const Scores& scores, std::vector<Doubt>& doubts);

}  // namespace sotto::client
