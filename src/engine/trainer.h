#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "bootstrap/bootstrapper.h"
#include "ckks/ciphertext_file.h"
#include "ckks/key_file.h"
#include "engine/server.h"
#include "lowering/compile.h"
#include "runtime/program_run.h"

namespace sotto::engine {

/// Where a training stands.
struct TrainingProgress {
  bool features = false;    ///< layers that run once for every image are at work; then the steps
  int step = 0, steps = 0;  ///< of the features: runs
  double done = 0;          ///< part of the work of this kind that this run has to do, 0 .. 1
};

/// Who follows a training; each may be empty.
struct TrainingHooks {
  std::function<void(const TrainingProgress&)> progress;
  /// Set by someone: the training ends with Error{interrupted} soon. Finished steps are kept (Trainer::train).
  const std::atomic<bool>* stop = nullptr;
};

/// What a training took.
struct TrainingReport {
  int steps = 0, steps_of_an_earlier_run = 0;
  std::uint64_t images = 0, batches = 0;
  double feature_seconds = 0;  ///< of layers that run once for every image, with reading and writing
  double read_seconds = 0, compute_seconds = 0, write_seconds = 0;  ///< of the steps and of what comes before all
  std::vector<double> step_seconds;  ///< of the steps of this run, reading and writing included
  runtime::KindTimes kinds;          ///< by kind of instruction, over all steps of this run
};

/// Bytes that a run of a plan with so many batches takes. Throws Error{no_resources} if they are more than `most`; 0:
/// than the machine has.
std::uint64_t memory_for(const lowering::TrainingPlan& plan, const lowering::LoweredStep& lowered, std::uint64_t most,
                         std::uint64_t batches = 1);

/// The side that trains: one plan, on encrypted images and labels. It holds no secret, and nothing in it can decrypt.
class Trainer {
 public:
  /// Throws Error{no_resources} if the plan needs more memory than it may have, Error{usage, wrong_key} if it promises
  /// signatures and the key for them is missing or another one.
  explicit Trainer(lowering::TrainingPlan plan, ServerOptions options = {});

  [[nodiscard]] const lowering::TrainingPlan& plan() const { return plan_; }
  [[nodiscard]] const lowering::LoweredStep& lowered() const { return lowered_; }
  [[nodiscard]] const ring::Ring& ring() const { return *ring_; }
  /// Bytes that a training needs: ciphertexts, keys and what bootstrapping holds. With the batches of the last call of
  /// `train`, with one before the first: features of all of them are in memory.
  [[nodiscard]] std::uint64_t predicted_bytes() const { return predicted_bytes_; }

  /// The owner's evaluation keys. Throws Error{bad_input} for a damaged source, Error{wrong_key} for one that lacks
  /// keys of the plan.
  [[nodiscard]] std::unique_ptr<ckks::KeyFile> open_keys(const Source& source) const;

  /// Trains from the network's weights on encrypted batches for all steps of the plan and writes the encrypted state
  /// and loss of every step. Everything is checked, to the last byte of input and keys, before work starts. With an
  /// output file an interruption keeps the finished steps in FILE.part, from which the same call goes on to the same
  /// result. Throws Error{bad_input, wrong_key, no_resources, interrupted}.
  TrainingReport train(const Source& input, ckks::KeyFile& keys, const Sink& output, const TrainingHooks& hooks = {});

 private:
  class Features;
  [[nodiscard]] ckks::PackedCiphertext first_state() const;
  void require_input(const ckks::CiphertextReader& input, const ckks::KeyFile& keys) const;

  lowering::TrainingPlan plan_;
  ServerOptions options_;
  lowering::LoweredStep lowered_;
  ckks::Parameters parameters_;
  std::shared_ptr<const ring::Ring> ring_;
  std::uint64_t predicted_bytes_ = 0;
};

}  // namespace sotto::engine
