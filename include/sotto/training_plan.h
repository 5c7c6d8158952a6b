#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sotto/error.h"
#include "sotto/hooks.h"
#include "sotto/images.h"
#include "sotto/io.h"
#include "sotto/spec.h"

/// What both sides of a training on encrypted images share. Link Sotto::client or Sotto::server.
namespace sotto {

namespace lowering {
struct TrainingPlan;
}

/// Weights of a layer that was trained.
struct TrainedWeights {
  std::string layer;           ///< name of the model's node
  bool bias = false;           ///< biases, one per output
  std::vector<double> values;  ///< row after row
  std::vector<int> shape;  ///< {out, in, rows, columns} of a convolution, {out, in} of a dense layer, {out} of biases
};

/// What a value of a training step reaches.
struct TrainingPeak {
  std::string value;   ///< its name: "images", "labels", or the model's node and what of it, such as "conv1.weights"
  double largest = 0;  ///< magnitude, of all images and steps; infinite if anything is no number
};

/// What a training made of a model.
struct TrainingResult {
  /// By step: mean over its images of half the summed squared errors of the scores (with the loss softmax: of the
  /// probabilities that they stand for), before its update.
  std::vector<double> losses;
  std::vector<TrainedWeights> weights;  ///< behind the last step
  /// First step, from 0, whose results left the range of the plan or of its loss, or the last one if its normal
  /// equations have no solution, or one that errors change; -1: none. What lies behind it means nothing.
  int overflow = -1;
  /// Images whose values left the range of layers that run once for every image, or lie beside such: what they taught
  /// the weights means little. Of a simulation: those whose features the range does not hold.
  std::size_t images_out_of_range = 0;
  bool spoiled = false;             ///< whether these took others along, so that the weights mean nothing
  std::string summary;              ///< one line about that step or these images; empty if there is nothing to say
  double largest_weight = 0;        ///< of all steps, in magnitude
  double largest_velocity = 0;      ///< of all steps, in magnitude, times the rate
  std::string input_id;             ///< what TrainingClient::encrypt returned; empty for a simulation
  std::vector<TrainingPeak> peaks;  ///< of a simulation: every value of a step, in the order in which they are made
};

/// The training of a model's layers on encrypted images, as SPEC.toml describes it (docs/formats/training-spec.md): for
/// the server and, with the model in it, for the owner of the images. Cheap to copy.
class TrainingPlan {
 public:
  /// spec: the contents of SPEC.toml. Takes seconds. Throws Error{bad_input} for a model or spec that cannot be
  /// trained, naming node or key; Error{no_resources} if a step needs more levels than the security
  /// leaves: at other levels than 128 bits only normal equations fit.
  /// name: what messages call the spec. Of the hooks the notes are used. calibration: public images like those to come,
  /// on which layers are measured that run once for every image; without it made-up ones. signer: as
  /// PlanOptions::signer.
  static TrainingPlan compile(const Source& model, const std::string& spec, const std::string& name = "the spec",
                              const Hooks& hooks = {}, const std::optional<ImagesView>& calibration = {},
                              Security security = Security::classical128, const std::string& signer = {});
  /// Reads NAME.plan or NAME.client. Throws Error{bad_input} for what is damaged, impossible or of another version.
  static TrainingPlan read(const Source& source);
  /// NAME.plan, for the server. `sink` may throw.
  void write(const Sink& sink) const;
  /// NAME.client, for the owner of the images. `sink` may throw.
  void write_client(const Sink& sink) const;

  /// Shapes, classes and preprocessing of the images, and what keys are made for, alone or with those of other plans
  /// (sotto::write_evaluation_keys). Its batch() is that of a group of ciphertexts; a Client of it is refused.
  [[nodiscard]] ClientSpec client_spec() const;
  /// The weights with which training begins, in the order and shape of TrainingResult::weights.
  [[nodiscard]] std::vector<TrainedWeights> weights() const;
  [[nodiscard]] int steps() const;     ///< of a run
  [[nodiscard]] int batch() const;     ///< images of a step
  [[nodiscard]] double range() const;  ///< largest magnitude that weights and velocities may reach, with sgd
  /// Bytes that a run on one batch is predicted to need. Where layers run once for every image, what they make of
  /// further batches is in memory, too.
  [[nodiscard]] std::uint64_t memory() const;
  [[nodiscard]] std::uint64_t key_bytes() const;  ///< of evaluation keys
  /// Seconds that a step is predicted to take on a typical processor; threads: of the run, 0: all.
  [[nodiscard]] double seconds_per_step(int threads = 0) const;
  /// The same of layers that run once for every image, for a batch; 0: there are none, or this is the owner's plan.
  [[nodiscard]] double feature_seconds(int threads = 0) const;

  /// Trains in float64, nothing encrypted: what encrypted training is compared with, and a way to find rate and range.
  /// labels: by image, from 0. A note says how many images are left over behind the last whole batch. Throws
  /// Error{bad_input} for images of another shape, labels that no score has, or fewer images than a batch takes;
  /// Error{interrupted}.
  [[nodiscard]] TrainingResult simulate(const ImagesView& images, std::span<const int> labels,
                                        const Hooks& hooks = {}) const;

  /// Writes the model with trained weights (ONNX, float32). Throws Error{bad_input} for weights of another plan or such
  /// that are no numbers; `sink` may throw, too.
  void write_model(const Sink& sink, const std::vector<TrainedWeights>& weights) const;

  /// For the library itself.
  explicit TrainingPlan(lowering::TrainingPlan plan);
  /// For the library itself.
  [[nodiscard]] const lowering::TrainingPlan& internal() const { return *plan_; }

 private:
  std::shared_ptr<const lowering::TrainingPlan> plan_;
};

/// Weights and biases of all layers of an ONNX file, as a plan for it would have them: batch normalisations behind
/// convolutions are part of these; constants that are added to channels count as biases. Throws Error{bad_input} for a
/// model that cannot run encrypted.
std::vector<TrainedWeights> weights_of_model(const Source& model);

}  // namespace sotto
