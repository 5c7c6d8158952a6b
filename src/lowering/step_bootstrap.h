#pragma once

#include "bootstrap/bootstrap_spec.h"

namespace sotto::lowering {

/// By how much the error of a bootstrap is enlarged to be bootstrapped itself: it is below 2^-13 of the range, and 2^-5
/// then.
inline constexpr double kErrorEnlarged = 0x1p8;

/// The scale of the state between steps, at which numbers up to this range stay within what bootstrapping takes: a
/// power of two for every range.
double scale_between_steps(const bootstrap::BootstrapSpec& spec, double range);

/// The largest scale that the state can have behind its bootstrap. What the bootstrap gave is subtracted from what it
/// took as a multiple, an integer only up to here.
double most_state_scale(const bootstrap::BootstrapSpec& spec, double range);

/// Bootstrapping of a training that leaves no limbs beyond those that it takes.
bootstrap::BootstrapSpec bootstrap_spec(int log_n);

/// Limbs that features have behind a run of the body: those that bootstrapping takes, and one for a mask, at least.
int feature_limbs(int log_n);

}  // namespace sotto::lowering
