#pragma once

#include <functional>
#include <span>
#include <vector>

#include "ckks/ciphertext.h"
#include "ckks/encoder.h"
#include "plan/rounding.h"
#include "plan/schedule.h"
#include "runtime/integers.h"

namespace sotto::runtime {

/// The linear part of one task: sum over taps and channels of weight (times mask) times source, plus bias.
///
/// A mask times a weight repeats with the tile, so it is a polynomial of a small subring: its transform is constant
/// over runs of n / period words, and the whole layer is one modular matrix product per limb and run (docs/adr/0003).
/// No encoded weight polynomial ever exists.
class LinearMap {
 public:
  /// `ring` must be conjugate-invariant.
  LinearMap(const plan::Plan& plan, const ring::Ring& ring);

  /// sources[k][i]: channel i of the ciphertext that tap k of the task reads, at least step.limbs limbs each.
  /// Returns one ciphertext per output channel with step.limbs limbs and scale step.scale.
  [[nodiscard]] std::vector<ckks::Ciphertext> run(
      const plan::Task& task, const std::vector<std::vector<const ckks::PackedCiphertext*>>& sources) const;

 private:
  struct Column;
  template <class F>
  [[nodiscard]] std::vector<double> map_coefficients(const plan::Layout& layout, int phase, F&& value,
                                                     double factor) const;
  [[nodiscard]] std::vector<Integers> plaintexts(const plan::Task& task, const std::vector<Column>& columns,
                                                 std::size_t o) const;
  void fill_weights(const std::vector<std::vector<Integers>>& plaintexts, std::size_t limb, double* weights,
                    std::size_t stride) const;
  [[nodiscard]] std::vector<Column> make_columns(const plan::Task& task) const;

  const plan::Plan& plan_;
  const ring::Ring& ring_;
  std::size_t period_, runs_, run_length_;
  ckks::Encoder encoder_;
  std::vector<plan::Rounding> roundings_;  // by the tensor that is read
};

}  // namespace sotto::runtime
