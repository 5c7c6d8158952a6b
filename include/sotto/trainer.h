#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "sotto/server.h"
#include "sotto/training_plan.h"

/// The side that trains. It holds no secret, and nothing in it can decrypt. Link Sotto::server.
namespace sotto {

/// What a training took.
struct TrainingReport {
  int steps = 0;                     ///< with those of an earlier run
  int steps_of_an_earlier_run = 0;   ///< found finished beside the output file, and not done again
  std::uint64_t images = 0;          ///< of the input
  double feature_seconds = 0;        ///< layers that run once for every image
  double read_seconds = 0;           ///< checking and reading input and keys
  double compute_seconds = 0;        ///< the steps on ciphertexts
  double write_seconds = 0;          ///< the encrypted weights and losses
  std::vector<double> step_seconds;  ///< of the steps of this run
};

/// One training plan on encrypted images and labels. Can be moved, not copied.
class Trainer {
 public:
  /// Throws Error{no_resources} if `options.memory`, or without it the free memory, is below TrainingPlan::memory();
  /// Error{bad_input} for parameters below 128 bits; Error{usage} if the plan promises signed results and there is no
  /// key, Error{wrong_key} if it is another one. `options.scratch` is not used: all is in memory.
  explicit Trainer(const TrainingPlan& plan, const ServerOptions& options = {});
  ~Trainer();
  Trainer(Trainer&&) noexcept;             ///< The other one may only be destroyed or assigned to.
  Trainer& operator=(Trainer&&) noexcept;  ///< The other one may only be destroyed or assigned to.

  /// Checks the owner's keys; each is read when it is first needed, so a file must stay. Throws Error{bad_input} for a
  /// damaged source, Error{wrong_key} if it lacks keys that the plan needs or its owner did not sign it.
  [[nodiscard]] EvaluationKeys open_keys(const Source& source) const;

  /// Trains from the model's weights for all steps and writes the encrypted weights and loss of each. Everything is
  /// checked before work starts. If the output is a file, an interruption keeps finished steps in FILE.part, and the
  /// same call continues behind them, to the same result. One call at a time. Throws Error{bad_input} for damaged
  /// input, Error{wrong_key} if input, keys and plan do not belong together or the owner did not sign the input,
  /// Error{no_resources}, Error{interrupted};
  /// Error{usage} for keys that were opened for another plan.
  TrainingReport train(const Source& input, EvaluationKeys& keys, const Sink& output, const Hooks& hooks = {});

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sotto
