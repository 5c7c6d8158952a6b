#include "lowering/step_bootstrap.h"

#include <cmath>

namespace sotto::lowering {

namespace {

constexpr double kPeakBits = 44;  // of what comes in to be bootstrapped, as in inference

}  // namespace

bootstrap::BootstrapSpec bootstrap_spec(int log_n) {
  bootstrap::BootstrapSpec spec{.input_peak = std::exp2(kPeakBits)};
  if (log_n < 12) spec.slots_to_coeffs_factors = spec.coeffs_to_slots_factors = 2;  // toy rings
  spec.raised_limbs = spec.depth() + spec.input_limbs();
  return spec;
}

double scale_between_steps(const bootstrap::BootstrapSpec& spec, double range) {
  return spec.input_peak / std::exp2(std::ceil(std::log2(range)));
}

double most_state_scale(const bootstrap::BootstrapSpec& spec, double range) {
  return scale_between_steps(spec, range) * kErrorEnlarged;
}

int feature_limbs(int log_n) { return bootstrap_spec(log_n).input_limbs() + 1; }

}  // namespace sotto::lowering
