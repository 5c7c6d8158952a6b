#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
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
  bool bias = false;           ///< biases, one per output; else weights, [out][in][row][column] or [out][in]
  std::vector<double> values;  ///< row after row
};

/// What a training made of a model.
struct TrainingResult {
  /// By step: mean over its images of half the summed squared errors of the scores, before its update.
  std::vector<double> losses;
  std::vector<TrainedWeights> weights;  ///< behind the last step
  /// First step, from 0, whose results left the range of the plan; -1: none. What lies behind it means nothing.
  int overflow = -1;
  double largest_weight = 0;    ///< of all steps, in magnitude
  double largest_velocity = 0;  ///< of all steps, in magnitude, times the rate
};

/// The training of a model's layers on encrypted images, as SPEC.toml describes it (docs/formats/training-spec.md): for
/// the server and, with the model in it, for the owner of the images. Cheap to copy.
class TrainingPlan {
 public:
  /// spec: the contents of SPEC.toml. Takes seconds. Throws Error{bad_input} for a model or spec that cannot be
  /// trained, naming node or key; Error{no_resources} if a step needs more levels than 128-bit security leaves.
  static TrainingPlan compile(const Source& model, const std::string& spec);
  /// Reads NAME.plan or NAME.client. Throws Error{bad_input} for what is damaged, impossible or of another version.
  static TrainingPlan read(const Source& source);
  /// NAME.plan, for the server. `sink` may throw.
  void write(const Sink& sink) const;
  /// NAME.client, for the owner of the images. `sink` may throw.
  void write_client(const Sink& sink) const;

  /// What keys are made for, alone or with those of other plans (sotto::write_evaluation_keys).
  [[nodiscard]] ClientSpec client_spec() const;
  [[nodiscard]] int steps() const;                ///< of a run
  [[nodiscard]] int batch() const;                ///< images of a step
  [[nodiscard]] std::uint64_t memory() const;     ///< bytes that a run is predicted to need
  [[nodiscard]] std::uint64_t key_bytes() const;  ///< of evaluation keys

  /// Trains in float64, nothing encrypted: what encrypted training is compared with, and a way to find rate and range.
  /// labels: by image, from 0. Throws Error{bad_input} for images of another shape, labels that no score has, or fewer
  /// images than a batch takes; Error{interrupted}.
  [[nodiscard]] TrainingResult simulate(const ImagesView& images, std::span<const int> labels,
                                        const Hooks& hooks = {}) const;

  /// Writes the model with trained weights (ONNX). Throws Error{bad_input} for weights of another plan, or if the file
  /// cannot be written; Error{no_resources} if the disk is full.
  void write_model(const std::filesystem::path& path, const std::vector<TrainedWeights>& weights) const;

  /// For the library itself.
  explicit TrainingPlan(lowering::TrainingPlan plan);
  /// For the library itself.
  [[nodiscard]] const lowering::TrainingPlan& internal() const { return *plan_; }

 private:
  std::shared_ptr<const lowering::TrainingPlan> plan_;
};

}  // namespace sotto
