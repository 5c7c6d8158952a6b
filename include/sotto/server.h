#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sotto/error.h"
#include "sotto/hooks.h"
#include "sotto/images.h"
#include "sotto/io.h"
#include "sotto/spec.h"

/// The side that computes: from a model to a plan, and on encrypted images. It holds no secret, and nothing in it can
/// decrypt. Link Sotto::server.
namespace sotto {

namespace plan {
struct Plan;
}

/// What a plan must keep to.
struct PlanOptions {
  int images = 1024;         ///< that a run will have, 1 .. 65536: the packing is the fastest for so many
  double agreement = 0.995;  ///< part of the labels that must be predicted to be the float model's, 0 .. 1
  std::uint64_t memory = 0;  ///< most bytes of an inference; 0: what this machine has, if any packing keeps to that
  bool precise = false;      ///< twice the modulus for every square of a network that is bootstrapped
  std::optional<double> function_error = {};  ///< of polynomials for Relu and the like, over the range of the input
  /// Images like those to come, to measure ranges, errors and labels on; without them made-up ones serve.
  std::optional<ImagesView> calibration = {};
};

/// A network made ready for encrypted images of one batch size (NAME.plan). It holds the weights. Cheap to copy.
class Plan {
 public:
  /// Imports and compiles an ONNX model. Throws Error{bad_input} for a model that cannot run encrypted, naming the
  /// node; Error{no_resources} if no packing fits the memory or too few labels are predicted to agree.
  static Plan compile(const std::filesystem::path& model, const PlanOptions& options = {}, const Hooks& hooks = {});

  /// Throws Error{bad_input} for a damaged or impossible one.
  static Plan read(const Source& source);
  /// A file gets mode 0600.
  void write(const Sink& sink) const;

  [[nodiscard]] ClientSpec client_spec() const;
  [[nodiscard]] int batch() const;                      ///< images that one run holds
  [[nodiscard]] double predicted_agreement() const;     ///< part of the labels, 0 .. 1
  [[nodiscard]] double predicted_score_error() const;   ///< root mean square
  [[nodiscard]] double score_spread() const;            ///< what such an error is to be compared with
  [[nodiscard]] double seconds(int threads = 0) const;  ///< predicted, of a run; 0: one per hardware thread
  [[nodiscard]] std::uint64_t memory() const;           ///< predicted peak of a run, bytes
  [[nodiscard]] std::uint64_t least_memory() const;     ///< with which a run is possible, bytes

  /// For the library itself.
  explicit Plan(plan::Plan plan);
  [[nodiscard]] const plan::Plan& internal() const { return *plan_; }

 private:
  std::shared_ptr<const plan::Plan> plan_;
};

/// What a server may use.
struct ServerOptions {
  std::uint64_t memory = 0;       ///< most bytes; 0: what is free when an inference starts
  std::filesystem::path scratch;  ///< folder for what `memory` leaves no room for; empty: that of the output
};

/// What an inference took.
struct InferenceReport {
  std::uint64_t images = 0, batches = 0;
  std::uint64_t batches_of_an_earlier_run = 0;  ///< found finished beside the output file, and not done again
  double read_seconds = 0, compute_seconds = 0, write_seconds = 0;
};

/// A client's evaluation keys, opened for one server.
class EvaluationKeys {
 public:
  ~EvaluationKeys();
  EvaluationKeys(EvaluationKeys&&) noexcept;
  EvaluationKeys& operator=(EvaluationKeys&&) noexcept;

  /// Identity of the secret key that they belong to.
  [[nodiscard]] std::string key_id() const;

 private:
  friend class Server;
  struct State;
  explicit EvaluationKeys(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// One plan, made ready once, on any number of inputs of any number of clients.
class Server {
 public:
  /// Throws Error{no_resources} if the plan needs more memory than it may have.
  explicit Server(const Plan& plan, ServerOptions options = {});
  ~Server();
  Server(Server&&) noexcept;
  Server& operator=(Server&&) noexcept;

  /// Each key is read when it is first needed. Throws Error{bad_input} for a damaged source, Error{wrong_key} for keys
  /// of another plan.
  [[nodiscard]] EvaluationKeys open_keys(const Source& source) const;

  /// Runs the plan on encrypted images and writes the encrypted scores. Everything is checked before work starts. With
  /// several batches and an output file an interruption keeps the finished ones in FILE.part, from which the same call
  /// goes on. One call at a time. Throws Error{bad_input, wrong_key, no_resources, interrupted}.
  InferenceReport infer(const Source& input, EvaluationKeys& keys, const Sink& output, const Hooks& hooks = {});

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sotto
