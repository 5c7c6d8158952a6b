#pragma once

#include <span>
#include <vector>

#include "ckks/ciphertext.h"
#include "plan/grouped_plaintexts.h"
#include "plan/plaintexts.h"
#include "plan/products.h"
#include "runtime/integers.h"

namespace sotto::runtime {

/// The linear part of one task: sum over taps and channels of weight (times mask) times source, plus bias.
///
/// A mask times a weight repeats with the tile, so it is a polynomial of a small subring: its transform is constant
/// over runs of n / period words, and the whole layer is one modular matrix product per limb and run (docs/adr/0003),
/// or several where channels do not read all others (plan::products_of). No encoded weight polynomial ever exists.
///
/// With channels in gaps (docs/adr/0051) the rows of that matrix are the sums of giant steps.
class LinearMap {
 public:
  /// `ring` must be conjugate-invariant.
  LinearMap(const plan::Plan& plan, const ring::Ring& ring);

  /// [k][i]: block i of the ciphertext that tap k of the task reads, at the level of the step at least.
  using Sources = std::vector<std::vector<const ckks::PackedCiphertext*>>;

  /// Returns one ciphertext per output channel with step.level and step.scale.
  [[nodiscard]] std::vector<ckks::Ciphertext> run(const plan::Task& task, const Sources& sources) const;

  /// With channels in gaps: some of plan::giant_rows, before their rotations; those of giant step 0 with the bias.
  [[nodiscard]] std::vector<ckks::Ciphertext> run_giants(const plan::Task& task, const Sources& sources,
                                                         std::span<const plan::GiantRow> which) const;

 private:
  struct Row;
  [[nodiscard]] std::vector<ckks::Ciphertext> sums(const plan::Step& step, const std::vector<plan::Product>& products,
                                                   const std::vector<Row>& rows, const Sources& sources) const;
  [[nodiscard]] std::vector<Row> rows(const std::vector<plan::Product>& products) const;
  void fill_weights(const std::vector<plan::Product>& products, const std::vector<Row>& rows, std::size_t limb,
                    double* weights) const;
  void multiply(const plan::Product& product, const double* weights, std::size_t limb, std::size_t first,
                std::size_t end, const Sources& sources, std::vector<ckks::Ciphertext>& out) const;

  const plan::Plan& plan_;
  const ring::Ring& ring_;
  plan::Plaintexts plaintexts_;
  plan::GroupedPlaintexts in_gaps_;
  std::size_t period_, runs_, run_length_;
};

}  // namespace sotto::runtime
