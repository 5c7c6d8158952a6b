#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "ckks/eval_key.h"
#include "ckks/parameters.h"

namespace sotto::bootstrap {

/// Everything that fixes a bootstrapping circuit beside the ring: part of a plan.
struct BootstrapSpec {
  int slots_to_coeffs_factors = 3;  ///< matrices of SlotsToCoeffs, one level each, 1 .. 8
  int coeffs_to_slots_factors = 4;  ///< matrices of CoeffsToSlots, one level each, 1 .. 8
  int degree = 31;                  ///< of the Chebyshev series for the cosine, 7 .. 127
  int doublings = 4;                ///< double-angle steps after it, 0 .. 8
  int raised_limbs = 0;             ///< limbs after ModRaise, depth() + 1 .. 64
  double input_peak = 0;            ///< largest magnitude of what slots hold when they come in: value times scale

  bool operator==(const BootstrapSpec&) const = default;

  /// Limbs that a ciphertext needs to come in.
  [[nodiscard]] int input_limbs() const { return slots_to_coeffs_factors + 1; }
  /// Levels between the raised ciphertext and the result.
  [[nodiscard]] int depth() const;
  [[nodiscard]] int output_limbs() const { return raised_limbs - depth(); }
};

/// The raised message is m + q_0 I with |I| <= kEphemeralWeight, always: c_0 + c_1 s has, per coefficient, at most 2 h
/// + 1 summands of magnitude q_0 / 2 (h nonzero coefficients of s, each meeting two of c_1). So the series covers every
/// case, and bootstrapping has no probability of failure (docs/adr/0017).
double modular_range();

/// Largest |value| over q_0 before the sine: its cubic term is then below 2^-13.
inline constexpr double kMessageRatio = 0x1p-8;

/// The Chebyshev series of cos(2 pi K t / 2^doublings), K = modular_range(): even, so half its degree has to be
/// evaluated. The quarter of a turn that makes a sine of it is subtracted from K t before, which leaves t within [-1,
/// 1]: the raised message is at most K - 1/2 times q_0.
std::vector<double> cosine_series(const BootstrapSpec& spec);

/// A key switch that a bootstrap makes: limbs of the ciphertext and Galois element (see ckks::KeyId).
struct BootstrapSwitch {
  int limbs = 0;
  std::uint64_t galois_element = 0;

  auto operator<=>(const BootstrapSwitch&) const = default;
};

/// All of them with how often a bootstrap makes each. The one of Galois element ckks::kToEphemeral belongs to the
/// ephemeral tier.
std::map<BootstrapSwitch, int> required_switches(const BootstrapSpec& spec, int log_n);

/// Throws Error{bad_input} unless every field is in range.
void verify(const BootstrapSpec& spec, int log_n);

}  // namespace sotto::bootstrap
