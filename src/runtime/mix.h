#pragma once

#include <span>
#include <vector>

#include "ckks/ciphertext.h"
#include "ckks/encoder.h"
#include "program/program.h"
#include "runtime/integers.h"

namespace sotto::runtime {

/// The mixes of a program: sums of ciphertexts times plaintexts that repeat with a period.
///
/// A factor of period p lies in a subring of p coefficients, so its transform is constant over runs of n / p words and
/// a mix is a small matrix product per limb and run (docs/adr/0003). Where runs are too short for that, plaintexts are
/// written out.
class Mix {
 public:
  /// The ring must be conjugate-invariant; both must outlive this.
  Mix(const program::Program& program, const ring::Ring& ring) : program_(program), ring_(ring) {}

  /// sources: of the instruction, in its order. scale: of the results before they are rescaled. One ciphertext of
  /// instruction.limbs limbs per output.
  [[nodiscard]] std::vector<ckks::Ciphertext> run(const program::Instruction& instruction,
                                                  std::span<const ckks::PackedCiphertext* const> sources,
                                                  std::span<const double> coefficients, double scale) const;

 private:
  struct Plaintexts;
  [[nodiscard]] Plaintexts plaintexts(const program::Instruction& instruction,
                                      std::span<const ckks::PackedCiphertext* const> sources,
                                      std::span<const double> coefficients, double scale) const;
  void by_runs(const Plaintexts& plaintexts, std::span<const ckks::PackedCiphertext* const> sources, std::size_t limb,
               std::vector<ckks::Ciphertext>& out) const;
  [[nodiscard]] Integers encoded(int pattern, std::size_t period, double factor) const;
  void add_constants(const program::Instruction& instruction, double scale, std::vector<ckks::Ciphertext>& out) const;
  void written_out(const Plaintexts& plaintexts, std::span<const ckks::PackedCiphertext* const> sources,
                   std::size_t limb, std::vector<ckks::Ciphertext>& out) const;

  const program::Program& program_;
  const ring::Ring& ring_;
};

}  // namespace sotto::runtime
