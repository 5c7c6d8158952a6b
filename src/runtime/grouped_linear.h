#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <tuple>
#include <vector>

#include "ckks/ciphertext.h"
#include "plan/grouped_plaintexts.h"
#include "runtime/integers.h"

namespace sotto::runtime {

/// The linear part of one task of a plan whose ciphertexts hold several channels (plan::Layout::group): the sums of one
/// giant step, before the rotation that brings them to their places.
///
/// Weights differ from place to place, so a tap's plaintext repeats with the period of the step and serves one product
/// per limb (docs/adr/0013). It is made when it is needed, and stays for later runs where there is room for it
/// (`keep`). Thread-safe.
class GroupedLinear {
 public:
  /// `ring` must be conjugate-invariant.
  GroupedLinear(const plan::Plan& plan, const ring::Ring& ring) : plan_(plan), ring_(ring), plaintexts_(plan) {}

  /// Plaintexts, as integers, may stay in memory for later runs up to so many bytes; none do before this is called.
  void keep(std::uint64_t bytes);

  /// sources[k][i]: block i of the ciphertext that tap k of the task reads, at least step.limbs limbs each. Returns the
  /// sum for output block `block` with step.limbs limbs and scale step.scale, for giant step 0 with the bias in it;
  /// nothing if no weight belongs to this giant step.
  [[nodiscard]] std::optional<ckks::Ciphertext> run(
      const plan::Task& task, const std::vector<std::vector<const ckks::PackedCiphertext*>>& sources, int block,
      int giant) const;

 private:
  struct Weights {  // of a task, an output block and a giant step
    struct Column {
      int tap = 0, block = 0;  // as in GroupedPlaintexts::Column
      Integers integers;
    };
    std::vector<Column> columns;
    Integers bias;
  };
  struct Product;
  using Place = std::tuple<int, int, int, int>;  // step, phase, block, giant step

  [[nodiscard]] std::shared_ptr<const Weights> weights(const plan::Task& task, int block, int giant) const;
  void multiply(const std::vector<Product>& products, std::size_t limb, std::size_t period,
                ckks::Ciphertext& sum) const;
  void add_bias(const Integers& bias, std::size_t limb, std::size_t period, ckks::Ciphertext& sum) const;

  const plan::Plan& plan_;
  const ring::Ring& ring_;
  plan::GroupedPlaintexts plaintexts_;
  mutable std::mutex mutex_;  // of what follows
  mutable std::map<Place, std::shared_ptr<const Weights>> kept_;
  mutable std::uint64_t kept_bytes_ = 0;
  std::uint64_t most_bytes_ = 0;
};

}  // namespace sotto::runtime
