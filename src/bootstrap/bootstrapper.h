#pragma once

#include <memory>
#include <span>
#include <vector>

#include "bootstrap/bootstrap_spec.h"
#include "bootstrap/slot_map.h"
#include "ckks/evaluator.h"

namespace sotto::bootstrap {

/// CKKS bootstrapping of all slots of the conjugate-invariant ring, without any secret: SlotsToCoeffs, ModRaise under
/// an ephemeral sparse secret (ePrint 2022/024), CoeffsToSlots, EvalMod by a scaled cosine (Cheon, Han, Kim, Kim, Song,
/// ePrint 2018/153; Han, Ki, ePrint 2019/688).
///
/// Every real slot is one coefficient, so one EvalMod serves all n values. Thread-safe after construction.
class Bootstrapper {
 public:
  /// Encodes the matrices, on all threads of the current TBB arena (seconds; about 250 MB at rank 2^16). Throws
  /// Error{bad_input} for a spec that `verify` refuses.
  Bootstrapper(const BootstrapSpec& spec, const ring::Ring& ring);

  /// Bootstraps ciphertexts of equal limbs (at least spec.input_limbs(), more are dropped) and equal scale: the same
  /// values at spec.output_limbs() limbs and scale `output_scale`. Values of magnitude spec.input_peak / scale and more
  /// come out wrong, more so the further they are beyond; below 1 / kMessageRatio times that, none spoils other slots.
  void run(const ckks::Evaluator& evaluator, std::span<ckks::Ciphertext> list, double output_scale) const;

  [[nodiscard]] const BootstrapSpec& spec() const { return spec_; }

 private:
  [[nodiscard]] ckks::Ciphertext eval_mod(const ckks::Evaluator& evaluator, ckks::Ciphertext c, double scale) const;

  BootstrapSpec spec_;
  const ring::Ring& ring_;
  std::vector<SlotMap> slots_to_coeffs_, coeffs_to_slots_;  // in the order of application
  std::vector<double> series_;
};

}  // namespace sotto::bootstrap
