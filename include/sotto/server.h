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
#include "sotto/signing.h"
#include "sotto/spec.h"

/// The side that computes: from a model to a plan, and on encrypted images. It holds no secret, and nothing in it can
/// decrypt. Link Sotto::server.
namespace sotto {

namespace plan {
struct Plan;
}

/// What a plan must keep to.
struct PlanOptions {
  int images = 1024;         ///< that a run will have, 1 to 65536: the packing is the fastest for so many
  double agreement = 0.995;  ///< part of the labels that must be predicted to be the float model's, 0 to below 1
  std::uint64_t memory = 0;  ///< most bytes of an inference; 0: what this machine has, if any packing keeps to that
  bool precise = false;      ///< twice the modulus for every square of a network that is bootstrapped
  Security security = Security::classical128;  ///< of everything that is encrypted for the plan
  /// Largest error of the polynomials for Relu and the like, as a part of the span of their values, 2^-20 to 1/4.
  /// Without it the compiler halves 0.0051 (with more than 20 such functions half of it) until the labels agree
  /// (docs/adr/0015).
  std::optional<double> function_error = {};
  /// Images like those to come, to measure ranges, errors and labels on: 512 are used, spread over all. Without them
  /// made-up ones serve, and the predictions are worth less (docs/adr/0025).
  std::optional<ImagesView> calibration = {};
  /// Verification key, 64 hexadecimal digits, of who must sign results (SigningKey::verification_key): clients refuse
  /// others. Empty: nobody must.
  std::string signer = {};
};

/// What a layer of a plan does with its sum.
enum class LayerKind {
  sum,         ///< nothing: a linear layer
  square,      ///< squares it
  product,     ///< multiplies two encrypted values
  polynomial,  ///< evaluates polynomials, for Relu and the like
  bootstrap,   ///< refreshes a value, which no layer of the model does
};

/// A layer of a plan, and what it is predicted to take in a run of one batch.
struct Layer {
  std::string name;                 ///< of the node in the model
  LayerKind kind = LayerKind::sum;  ///< what it does with its sum
  int channels = 0;                 ///< of its output
  int height = 0;                   ///< rows of its output
  int width = 0;                    ///< columns of its output
  std::size_t ciphertexts = 0;      ///< that hold the output of a batch
  int limbs = 0;                    ///< of the sums: primes of the modulus, fewer from layer to layer until a bootstrap
  std::size_t key_switches = 0;     ///< rotations and products of ciphertexts
  double seconds = 0;               ///< of the time of a run
  std::uint64_t memory = 0;         ///< bytes in use while it runs, everything included
};

/// A network made ready for encrypted images of one batch size (NAME.plan). It holds the weights and stays with their
/// owner. Cheap to copy.
class Plan {
 public:
  /// Imports and compiles an ONNX model: seconds to minutes. Throws Error{bad_input} for a model that cannot run
  /// encrypted, naming the node; Error{no_resources} if no packing fits the memory, too few labels are predicted to
  /// agree, or the level of security leaves too few levels; Error{usage} for options out of range; Error{interrupted}.
  static Plan compile(const std::filesystem::path& model, const PlanOptions& options = {}, const Hooks& hooks = {});

  /// Throws Error{bad_input} for what is damaged, impossible or of another version.
  static Plan read(const Source& source);
  /// A file gets mode 0600.
  void write(const Sink& sink) const;

  /// The public part, for the owner of images.
  [[nodiscard]] ClientSpec client_spec() const;
  /// Images that one run holds: at least PlanOptions::images, unless several runs are faster.
  [[nodiscard]] int batch() const;
  /// Part of the labels, 0 to 1, that are predicted to be those of the float model.
  [[nodiscard]] double predicted_agreement() const;
  /// Root mean square error of the scores, predicted, in units of scores.
  [[nodiscard]] double predicted_score_error() const;
  /// Root mean square deviation of the scores from their means over the images: what their error is to be compared
  /// with.
  [[nodiscard]] double score_spread() const;
  /// Predicted seconds of a run of one batch. threads: 0 for one per hardware thread.
  [[nodiscard]] double seconds(int threads = 0) const;
  /// Predicted peak of a run, in bytes.
  [[nodiscard]] std::uint64_t memory() const;
  /// Bytes with which a run is possible; below memory() it takes longer and a scratch file.
  [[nodiscard]] std::uint64_t least_memory() const;
  /// Its layers, in the order of a run. threads: as for seconds(), to which their seconds add up where all threads are
  /// busy.
  [[nodiscard]] std::vector<Layer> layers(int threads = 0) const;

  /// For the library itself.
  explicit Plan(plan::Plan plan);
  /// For the library itself.
  [[nodiscard]] const plan::Plan& internal() const { return *plan_; }

 private:
  std::shared_ptr<const plan::Plan> plan_;
};

/// What a server may use.
struct ServerOptions {
  std::uint64_t memory = 0;  ///< most bytes; 0: what is free when an inference starts
  /// Folder for what `memory` leaves no room for. Empty: that of the output file, or the system's for temporary files.
  std::filesystem::path scratch = {};
  std::optional<SigningKey> signing_key = {};  ///< signs results; plans that promise that need it
  /// Refuse inputs that someone else encrypted with the public key of the owner of the evaluation keys. What owners
  /// encrypt with their secret key is signed, and refused if it is not theirs, in any case.
  bool owners_only = false;
};

/// What an inference took.
struct InferenceReport {
  std::uint64_t images = 0;                     ///< in all batches
  std::uint64_t batches = 0;                    ///< with those of an earlier run
  std::uint64_t batches_of_an_earlier_run = 0;  ///< found finished beside the output file, and not done again
  double read_seconds = 0;                      ///< checking and reading the input and the keys' file
  double compute_seconds = 0;                   ///< the plan on ciphertexts
  double write_seconds = 0;                     ///< the encrypted scores
};

/// A client's evaluation keys, opened for one plan; they stay independent of the server or trainer that opened them.
/// Can be moved, not copied.
class EvaluationKeys {
 public:
  ~EvaluationKeys();
  EvaluationKeys(EvaluationKeys&&) noexcept;             ///< The other one may only be destroyed or assigned to.
  EvaluationKeys& operator=(EvaluationKeys&&) noexcept;  ///< The other one may only be destroyed or assigned to.

  /// SecretKey::id() of the key that they belong to, whose owner signed them: compare it with what the client tells.
  [[nodiscard]] std::string key_id() const;

 private:
  friend class Server;
  friend class Trainer;
  struct State;
  explicit EvaluationKeys(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// One plan, made ready once, on any number of inputs of any number of clients. Can be moved, not copied.
class Server {
 public:
  /// Throws Error{no_resources} if `options.memory` is below Plan::least_memory(), or without it if the machine has
  /// less than Plan::memory() free; Error{bad_input} for parameters below 128 bits; Error{usage} if the plan promises
  /// signed results and there is no key, Error{wrong_key} if it is another one.
  explicit Server(const Plan& plan, ServerOptions options = {});
  ~Server();
  Server(Server&&) noexcept;             ///< The other one may only be destroyed or assigned to.
  Server& operator=(Server&&) noexcept;  ///< The other one may only be destroyed or assigned to.

  /// Checks the keys of a client; each is read when it is first needed, so a file must stay. Throws Error{bad_input}
  /// for a damaged source, Error{wrong_key} if it lacks keys that the plan needs or its owner did not sign it.
  [[nodiscard]] EvaluationKeys open_keys(const Source& source) const;

  /// Runs the plan on encrypted images and writes the encrypted scores. Everything is checked before work starts. If
  /// several batches go to an output file, an interruption keeps the finished ones in FILE.part, and the same call
  /// continues after them. One call at a time. Throws Error{bad_input} for damaged input, Error{wrong_key} if input,
  /// keys and plan do not belong together or the owner did not sign the input, Error{no_resources} if memory or disk
  /// are short, Error{interrupted}; Error{usage} for keys that were opened for another plan.
  ///
  /// public_key: of the keys' owner (Client::write_public_key). With it the scores are encrypted anew at the end, so
  /// that what the client gets depends on the weights by nothing but scores, their errors and probes (SECURITY.md).
  InferenceReport infer(const Source& input, EvaluationKeys& keys, const Sink& output, const Hooks& hooks = {},
                        const std::optional<Source>& public_key = {});

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sotto
