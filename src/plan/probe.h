#pragma once

#include <span>

#include "plan/plan.h"

namespace sotto::plan {

/// 1, or -1 for a ciphertext (phase * blocks + block) that is subtracted.
int sign_of(const Probe& probe, int ciphertext);

/// Where a probe means something.
Watched watched(const Plan& plan, const Probe& probe);

/// A probe in float64: the largest magnitude in its watched slots for one image with these values [c][h][w].
double probe_value(const Plan& plan, const Probe& probe, std::span<const double> values);

/// What the owner of the images needs of a plan.
Watch watch_of(const Plan& plan);

/// Whether a sum within its bound, in all slots at once, stays far from the modulus of so many limbs.
bool has_room(double bound, double scale, int limbs, int prime_bits);

/// Throws Error{bad_input} unless the probes of a plan fit it.
void verify_probes(const Plan& plan);
/// The part of it that a client checks, too.
void verify_watch(const Watch& watch, int prime_bits, const Axes& tile, int group);

}  // namespace sotto::plan
