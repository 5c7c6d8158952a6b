#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ckks/key_file.h"
#include "plan/cost.h"
#include "runtime/batch_run.h"
#include "runtime/model.h"

namespace sotto::engine {

/// What a server may use.
struct ServerOptions {
  std::uint64_t memory = 0;  ///< most bytes; 0: what is free when an inference starts
  int threads = 0;           ///< for predictions; 0: one per hardware thread
  int batches_at_once = 0;   ///< most in flight; 0: as many as keep all threads busy, memory permitting
  bool keep_keys = false;    ///< in memory from one inference to the next, if there is room for those of all levels
  std::filesystem::path scratch;  ///< folder for what `memory` leaves no room for; empty: that of the output file, or
                                  ///< the one for temporary files
  std::shared_ptr<const signing::SigningKey> signer = {};  ///< signs results; a plan that promises that needs it
  bool owners_only = false;  ///< refuse what others encrypted with the public key of the keys' owner
};

/// Where an inference stands.
struct InferenceProgress {
  double done = 0;  ///< part of the work, 0 .. 1
  std::uint64_t batch = 0, batches = 1;
  std::string what;  ///< the layer, or what else is being done
};

/// Who follows an inference; each may be empty.
struct InferenceHooks {
  std::function<void(const InferenceProgress&)> progress;  ///< one call at a time, from any thread
  /// Set by someone: the inference ends with Error{interrupted} soon. Finished batches are kept (Server::infer).
  const std::atomic<bool>* stop = nullptr;
};

/// What an inference took.
struct InferenceReport {
  std::uint64_t images = 0, batches = 0;
  std::uint64_t batches_of_an_earlier_run = 0;  ///< found finished, and not done again
  std::uint64_t batches_at_once = 1;
  double read_seconds = 0;  ///< checking and reading the input and the keys' file
  double compute_seconds = 0, write_seconds = 0;
  std::vector<runtime::StepTime> steps;  ///< sums over batches, by step of the plan
  std::uint64_t predicted_peak_bytes = 0;
};

/// The side that computes: one plan, made ready once, on any number of inputs. It holds no secret, and nothing in it
/// can decrypt.
class Server {
 public:
  /// Throws Error{no_resources} if the plan needs more memory than it may have, Error{usage, wrong_key} if it promises
  /// signatures and the key for them is missing or another one.
  explicit Server(plan::Plan plan, ServerOptions options = {});

  [[nodiscard]] const plan::Plan& plan() const { return plan_; }
  [[nodiscard]] const plan::Cost& cost() const { return cost_; }
  [[nodiscard]] const ring::Ring& ring() const { return *ring_; }

  /// A client's evaluation keys: each is read when it is first needed and may stay in memory for later inferences.
  /// Throws Error{bad_input} for a damaged source, Error{wrong_key} for one that lacks keys of the plan.
  [[nodiscard]] std::unique_ptr<ckks::KeyFile> open_keys(const Source& source) const;

  /// Runs the plan on encrypted images and writes the encrypted scores. Everything is checked, to the last byte of
  /// input and keys, before work starts. With several batches and an output file an interruption keeps the finished
  /// ones in FILE.part, from which the same call goes on. Throws Error{bad_input, wrong_key, no_resources,
  /// interrupted}.
  ///
  /// public_key: of the keys' owner. With it answers are encrypted anew at the end: their polynomial c1, which is else
  /// a function of weights and input, tells nothing then (docs/adr/0039).
  InferenceReport infer(const Source& input, ckks::KeyFile& keys, const Sink& output, const InferenceHooks& hooks = {},
                        const std::optional<Source>& public_key = {});

 private:
  class Inference;
  [[nodiscard]] const runtime::Model& model();

  plan::Plan plan_;
  ServerOptions options_;
  ckks::Parameters parameters_;
  plan::Cost cost_;
  std::shared_ptr<const ring::Ring> ring_;
  std::optional<runtime::Model> model_;  // made by the first inference
};

}  // namespace sotto::engine
