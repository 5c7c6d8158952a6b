#pragma once

#include <map>
#include <span>
#include <vector>

#include "bootstrap/slot_matrix.h"
#include "ckks/encoder.h"
#include "ckks/evaluator.h"

namespace sotto::bootstrap {

/// A factor of the embedding, encoded, as a homomorphic map: one level.
///
/// Diagonals are summed by baby steps and giant steps with double hoisting (Bossuat et al., ePrint 2020/1203, section
/// 4.2): baby rotations stay raised to the special primes, giant steps follow Horner's rule from both ends, so that one
/// key serves each direction. Plaintexts are kept as integers and transformed prime by prime, once for all ciphertexts
/// of a call: transformed, they would take gigabytes.
class SlotMap {
 public:
  /// Most baby steps: what one inner product takes.
  static constexpr int kBabies = 8;

  /// scale: of the plaintexts. Throws Error{bad_input} unless every coefficient times scale stays below 2^53. The ring
  /// must be conjugate-invariant.
  SlotMap(const ring::Ring& ring, const ckks::Encoder& encoder, const SlotMatrix& matrix, const FactorShape& shape,
          double scale);

  /// Rotations that a factor of this shape makes, among `slots` slots, and how often each; none is zero.
  static std::map<std::int64_t, int> rotations(const FactorShape& shape, std::size_t slots);

  /// The map at every ciphertext of the list, all of one level and scale: one limb less, scale times the plaintexts'
  /// scale over the prime that is dropped.
  void apply(const ckks::Evaluator& evaluator, std::span<ckks::Ciphertext> list) const;

  [[nodiscard]] double scale() const { return scale_; }
  /// Diagonals that are not zero.
  [[nodiscard]] std::size_t diagonals() const;

 private:
  struct Giant {
    bool half = false;  ///< shifted by half the slots as well
    int index = 0;
    std::vector<std::vector<double>> plain;  ///< per baby step integer coefficients, empty: zero
  };
  using Babies = std::vector<ckks::RaisedRotation>;

  [[nodiscard]] Babies baby_steps(const ckks::Evaluator& evaluator, const ckks::Ciphertext& c) const;
  [[nodiscard]] std::vector<std::vector<ckks::Extended>> inner_sums(const ckks::Evaluator& evaluator,
                                                                    std::vector<Babies> babies, int limbs) const;
  [[nodiscard]] ckks::Ciphertext giant_steps(const ckks::Evaluator& evaluator, std::vector<ckks::Extended> sums,
                                             double scale) const;

  const ring::Ring& ring_;
  FactorShape shape_;
  int babies_;
  double scale_;
  std::vector<Giant> giants_;  // by (half, index)
};

}  // namespace sotto::bootstrap
