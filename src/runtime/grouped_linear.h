#pragma once

#include <optional>
#include <vector>

#include "ckks/ciphertext.h"
#include "plan/grouped_plaintexts.h"
#include "runtime/integers.h"

namespace sotto::runtime {

/// The linear part of one task of a plan whose ciphertexts hold several channels (plan::Layout::group): the sums of one
/// giant step, before the rotation that brings them to their places.
///
/// Weights differ from place to place, so a tap's plaintext repeats with the period of the step and is made when it is
/// needed: it serves one product per limb (docs/adr/0013).
class GroupedLinear {
 public:
  /// `ring` must be conjugate-invariant.
  GroupedLinear(const plan::Plan& plan, const ring::Ring& ring) : plan_(plan), ring_(ring), plaintexts_(plan) {}

  /// sources[k][i]: block i of the ciphertext that tap k of the task reads, at least step.limbs limbs each. Returns the
  /// sum for output block `block` with step.limbs limbs and scale step.scale, for giant step 0 with the bias in it;
  /// nothing if no weight belongs to this giant step.
  [[nodiscard]] std::optional<ckks::Ciphertext> run(
      const plan::Task& task, const std::vector<std::vector<const ckks::PackedCiphertext*>>& sources, int block,
      int giant) const;

 private:
  struct Column;
  void multiply(const std::vector<Column>& columns, std::size_t limb, std::size_t period, ckks::Ciphertext& sum) const;
  void add_bias(const Integers& bias, std::size_t limb, std::size_t period, ckks::Ciphertext& sum) const;

  const plan::Plan& plan_;
  const ring::Ring& ring_;
  plan::GroupedPlaintexts plaintexts_;
};

}  // namespace sotto::runtime
