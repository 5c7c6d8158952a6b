#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "ckks/key_file.h"
#include "lowering/training_plan.h"
#include "runtime/model.h"
#include "runtime/program_run.h"

namespace sotto::engine {

/// The layers of a training that run once for every image: from the encrypted images of a group to their features,
/// packed as the step's images lie, and to the probes that tell their owner whether these can be believed.
class BodyRun {
 public:
  /// keys: of the plan; those of the body come from the same file. evaluator: of the step. memory: most bytes of
  /// ciphertexts and keys, 0: any. Everything must outlive this. Throws Error{wrong_key} if the file lacks keys of the
  /// body.
  BodyRun(const lowering::TrainingPlan& plan, const ckks::KeyFile& keys, const ckks::Evaluator& evaluator,
          std::uint64_t memory);

  /// progress: gets the part that is done, 0 .. 1. Returns what lowering::features_shape describes. Throws
  /// Error{interrupted} if stopped, Error{no_resources} where memory does not suffice.
  [[nodiscard]] std::vector<ckks::Ciphertext> run(std::vector<ckks::PackedCiphertext> images,
                                                  const std::function<void(double)>& progress,
                                                  const std::atomic<bool>* stop);

 private:
  ckks::Parameters parameters_;
  std::shared_ptr<const ring::Ring> ring_;
  std::unique_ptr<ckks::KeyFile> keys_;
  runtime::Model model_;
  program::Program packing_;
  runtime::ProgramRun pack_;
};

}  // namespace sotto::engine
