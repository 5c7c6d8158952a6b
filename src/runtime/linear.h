#pragma once

#include <vector>

#include "ckks/ciphertext.h"
#include "plan/plaintexts.h"
#include "plan/products.h"
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

  /// [k][i]: channel i of the ciphertext that tap k of the task reads, at the level of the step at least.
  using Sources = std::vector<std::vector<const ckks::PackedCiphertext*>>;

  /// Returns one ciphertext per output channel with step.level and step.scale.
  [[nodiscard]] std::vector<ckks::Ciphertext> run(const plan::Task& task, const Sources& sources) const;

 private:
  struct Row;
  [[nodiscard]] std::vector<Row> rows(const std::vector<plan::Product>& products) const;
  void fill_weights(const std::vector<plan::Product>& products, const std::vector<Row>& rows, std::size_t limb,
                    double* weights) const;
  void multiply(const plan::Product& product, const double* weights, std::size_t limb, std::size_t first,
                std::size_t end, const Sources& sources, std::vector<ckks::Ciphertext>& out) const;

  const plan::Plan& plan_;
  const ring::Ring& ring_;
  plan::Plaintexts plaintexts_;
  std::size_t period_, runs_, run_length_;
};

}  // namespace sotto::runtime
