#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "ckks/ciphertext.h"
#include "ckks/encoder.h"
#include "plan/schedule.h"
#include "plan/term.h"

namespace sotto::runtime {

/// The linear part of one task of a plan whose ciphertexts hold several channels (plan::Layout::group): the sums of one
/// giant step, before the rotation that brings them to their places.
///
/// Weights differ from place to place, so a tap's plaintext repeats with the period of the step and is made when it is
/// needed: it serves one product per limb (docs/adr/0013).
class GroupedLinear {
 public:
  /// `ring` must be conjugate-invariant.
  GroupedLinear(const plan::Plan& plan, const ring::Ring& ring) : plan_(plan), ring_(ring) {}

  /// sources[k][i]: block i of the ciphertext that tap k of the task reads, at least step.limbs limbs each. Returns the
  /// sum for output block `block` with step.limbs limbs and scale step.scale, for giant step 0 with the bias in it;
  /// nothing if no weight belongs to this giant step.
  [[nodiscard]] std::optional<ckks::Ciphertext> run(
      const plan::Task& task, const std::vector<std::vector<const ckks::PackedCiphertext*>>& sources, int block,
      int giant) const;

 private:
  struct Column;
  [[nodiscard]] const ckks::Encoder& encoder(std::size_t period) const;
  [[nodiscard]] std::vector<double> tap_slots(const plan::Task& task, const plan::WeightTable& weights,
                                              const Column& column, int block, int giant, std::size_t period) const;
  [[nodiscard]] std::vector<double> bias_slots(const plan::Task& task, int block, std::size_t period) const;
  void multiply(const std::vector<Column>& columns, std::size_t limb, std::size_t period, ckks::Ciphertext& sum) const;
  void add_bias(const Column& bias, std::size_t limb, std::size_t period, ckks::Ciphertext& sum) const;

  const plan::Plan& plan_;
  const ring::Ring& ring_;
  mutable std::mutex mutex_;
  mutable std::map<std::size_t, ckks::Encoder> encoders_;  // by period
};

}  // namespace sotto::runtime
