#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <span>
#include <vector>

#include "bootstrap/bootstrapper.h"
#include "ckks/evaluator.h"
#include "program/program.h"
#include "runtime/mix.h"

namespace sotto::runtime {

/// What a run of a program does beside computing; each may be empty.
struct ProgramHooks {
  std::function<void(std::size_t done, std::size_t all)> progress;  ///< instructions
  const std::atomic<bool>* stop = nullptr;                          ///< set by someone: the run ends soon
};

/// Seconds that a run spent on instructions of each kind.
using KindTimes = std::map<program::Instruction::Kind, double>;

/// Executes a program, instruction by instruction, freeing every ciphertext after its last use. The results do not
/// depend on the number of threads.
class ProgramRun {
 public:
  /// bootstrapper: may be null if the program bootstraps nothing. Everything must outlive this.
  ProgramRun(const program::Program& program, const ckks::Evaluator& evaluator,
             const bootstrap::Bootstrapper* bootstrapper);

  /// inputs: of the program, in its order, of its scales, with at least its limbs. coefficients: of this run. Returns
  /// the outputs. Throws Error{interrupted} if stopped.
  [[nodiscard]] std::vector<ckks::PackedCiphertext> run(std::vector<ckks::PackedCiphertext> inputs,
                                                        std::span<const double> coefficients,
                                                        const ProgramHooks& hooks = {},
                                                        KindTimes* times = nullptr) const;

 private:
  using Values = std::vector<ckks::PackedCiphertext>;

  static void drop(ckks::PackedCiphertext& c, int limbs);
  void execute(const program::Instruction& instruction, Values& values, std::span<const double> coefficients) const;
  [[nodiscard]] ckks::Ciphertext multiply(const program::Instruction& instruction, const Values& values) const;
  [[nodiscard]] ckks::Ciphertext rescaled(ckks::Ciphertext c, int rescales) const;

  const program::Program& program_;
  const ckks::Evaluator& evaluator_;
  const bootstrap::Bootstrapper* bootstrapper_;
  const ring::Ring& ring_;
  std::vector<std::uint64_t> primes_;
  Mix mix_;
  std::vector<std::map<int, int>> after_;  // by instruction: values of which fewer limbs are needed behind it
};

}  // namespace sotto::runtime
