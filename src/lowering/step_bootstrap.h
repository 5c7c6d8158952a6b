#pragma once

#include "bootstrap/bootstrap_spec.h"

namespace sotto::lowering {

/// Bootstrapping of a training that leaves no limbs beyond those that it takes.
bootstrap::BootstrapSpec bootstrap_spec(int log_n);

/// Limbs that features have behind a run of the body: those that bootstrapping takes, and one for a mask, at least.
int feature_limbs(int log_n);

}  // namespace sotto::lowering
