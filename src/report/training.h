#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace sotto::report {

/// What happened in one step of training.
struct TrainingStep {
  std::optional<double> loss;      ///< of encrypted training, as decrypted at the end; none if it was only simulated
  double float_loss = 0;           ///< of the float twin
  std::optional<double> accuracy;  ///< on the test images, 0 .. 1, of the weights behind this step; none: not measured
  std::optional<double> float_accuracy;
  /// |encrypted - twin| / |twin| over all trained weights; where it was only simulated, of the twin with noise.
  std::optional<double> weight_relative_error;
  double seconds = 0;  ///< 0: an earlier run did it, or nothing was encrypted
};

/// What a training found: the result of `sotto train`, for its JSON file and its page.
struct Training {
  std::string network, dataset;
  bool simulated = false;           ///< the float twin alone
  double noise = 0;                 ///< of a second twin, beside it (training::run_twin); 0: there was none
  std::vector<std::string> layers;  ///< that were trained
  std::uint64_t weights = 0;        ///< how many
  std::vector<TrainingStep> steps;
  int batch = 0;
  std::uint64_t images = 0, batches = 0;  ///< given, and made of them
  std::optional<double> accuracy_before;
  std::uint64_t test_images = 0;
  double range = 0, largest_weight = 0, largest_velocity = 0;  ///< allowed (infinite: any), and reached by the twin
  int overflow = -1;                                           ///< first step whose results left the range; -1: none
  std::uint64_t images_out_of_range = 0;  ///< whose values left the range of layers that run once for every image

  // Of encrypted training:
  double feature_seconds = 0;                     ///< of layers that run once for every image
  double training_seconds = 0;                    ///< all steps of the server's process
  double seconds_per_step = 0;                    ///< median of the steps that this run made
  double predicted_seconds_per_step = 0;          ///< before the first
  double predicted_feature_seconds = 0;           ///< of all batches; 0: no layers run once for every image
  std::map<std::string, double> seconds_by_kind;  ///< of ciphertext operations, per step
  double keygen_seconds = 0, encrypt_seconds = 0, decrypt_seconds = 0, compile_seconds = 0;
  std::uint64_t peak_rss_bytes = 0, predicted_peak_bytes = 0;
  std::uint64_t eval_key_bytes = 0, input_bytes = 0, output_bytes = 0;
  int bootstraps_per_step = 0, key_switches_per_step = 0, ciphertext_products_per_step = 0;
  int security_bits = 0, ring_dimension = 0, ciphertext_primes = 0, special_primes = 0;
  double log2_qp = 0;
  int threads = 0;
  std::string kernels;  ///< CPU kernel set
};

/// Keys as the command-line contract names them (docs/formats/training-report.md).
nlohmann::json to_json(const Training& training);

/// One self-contained page without scripts: figures, plots of loss and accuracy against steps, encrypted beside float,
/// the weights' distance from the twin's, and where the time goes.
std::string training_page(const Training& training);

}  // namespace sotto::report
