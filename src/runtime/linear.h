#pragma once

#include <functional>
#include <span>
#include <vector>

#include "ckks/ciphertext.h"
#include "ckks/encoder.h"
#include "plan/products.h"
#include "plan/rounding.h"
#include "plan/term.h"
#include "runtime/integers.h"

namespace sotto::runtime {

/// The linear part of one task: sum over taps and channels of weight (times mask) times source, plus bias.
///
/// A mask times a weight repeats with the tile, so it is a polynomial of a small subring: its transform is constant
/// over runs of n / period words, and the whole layer is one modular matrix product per limb and run (docs/adr/0003),
/// or several where channels do not read all others (plan::products_of). No encoded weight polynomial ever exists.
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
  struct Row;
  using Patterns = std::vector<std::vector<double>>;  // by tap: subring coefficients of its mask; empty: all ones
  [[nodiscard]] Patterns patterns(const plan::Task& task) const;
  [[nodiscard]] std::vector<Row> rows(const std::vector<plan::Product>& products) const;
  template <class F>
  [[nodiscard]] std::vector<double> map_coefficients(const plan::Layout& layout, int phase, F&& value,
                                                     double factor) const;
  [[nodiscard]] std::vector<double> bias_coefficients(const plan::Task& task, std::size_t o) const;
  void set_plaintexts(const plan::Task& task, const std::vector<plan::WeightTable>& tables, const Patterns& patterns,
                      std::size_t o, Row& row) const;
  void round(const plan::Task& task, int term, const Row& row, const std::vector<std::size_t>& list,
             std::vector<std::vector<double>>& plaintexts) const;
  void fill_weights(const std::vector<plan::Product>& products, const std::vector<Row>& rows, std::size_t limb,
                    double* weights) const;

  const plan::Plan& plan_;
  const ring::Ring& ring_;
  std::size_t period_, runs_, run_length_;
  ckks::Encoder encoder_;
  std::vector<plan::Rounding> roundings_;  // by the tensor that is read
};

}  // namespace sotto::runtime
