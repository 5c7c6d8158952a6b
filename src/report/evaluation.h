#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "packing/layout.h"

namespace sotto::report {

/// What a layer took, over all runs.
struct LayerFigures {
  std::string name;
  int channels = 0, height = 0, width = 0;  ///< of its output
  int ciphertexts = 0, limbs = 0;
  double rotate_seconds = 0, linear_seconds = 0, activate_seconds = 0, disk_seconds = 0;
  double predicted_seconds = 0;
  std::uint64_t predicted_peak_bytes = 0;

  [[nodiscard]] double seconds() const { return rotate_seconds + linear_seconds + activate_seconds + disk_seconds; }
};

/// The images that one packing served, and what that took.
struct PartFigures {
  std::size_t images = 0;
  int batch = 0;
  packing::Axes tile = 1;
  int group = 0;
  std::uint64_t batches = 0, bootstraps = 0;
  double wall_seconds = 0, predicted_seconds = 0;
  std::uint64_t peak_rss_bytes = 0, predicted_peak_bytes = 0, eval_key_bytes = 0;
};

/// What `sotto evaluate` finds: encrypted scores against those of the float model, time, memory, sizes.
struct Evaluation {
  std::string network;
  std::size_t images = 0;
  std::size_t labelled = 0;                                          ///< images with a true label
  std::size_t correct = 0, plain_correct = 0;                        ///< of these, encrypted and by the float model
  std::size_t agree = 0;                                             ///< labels that are those of the float model
  std::size_t certain = 0, certain_agree = 0;                        ///< images that are not doubtful, and of these
  std::vector<std::size_t> doubtful;                                 ///< images
  std::vector<int> labels;                                           ///< by image
  double predicted_agreement = 0;                                    ///< part of the labels
  bool made_up = false;                                              ///< whether that was measured on made-up images
  double largest_error = 0, rms_error = 0, predicted_rms_error = 0;  ///< of scores
  double total_seconds = 0;                                          ///< keys, encryption and decryption included
  std::uint64_t input_bytes = 0, output_bytes = 0;
  std::string ring;  ///< this and the next five: of the part with the largest modulus
  std::uint64_t ring_dimension = 0;
  double log2_qp = 0;
  int security_bits = 0, ciphertext_primes = 0, special_primes = 0;
  std::string security;                             ///< in words: "128 bits of security"
  int batch = 0, group = 0, input_ciphertexts = 0;  ///< of the first part
  packing::Axes tile = 1;                           ///< of the first part
  int threads = 0;
  std::string cpu_kernels;
  std::vector<PartFigures> parts;
  std::vector<LayerFigures> layers;

  /// Parts of the images, 0 .. 1; nothing if there are none to count.
  [[nodiscard]] std::optional<double> accuracy() const;
  [[nodiscard]] std::optional<double> plain_accuracy() const;
  [[nodiscard]] std::optional<double> certain_agreement() const;
  [[nodiscard]] double agreement() const;
  /// Sums over the parts, and the most memory of any.
  [[nodiscard]] PartFigures total() const;
  [[nodiscard]] double seconds_per_image() const;
};

/// The same for programs (README, `sotto evaluate --json`).
nlohmann::json to_json(const Evaluation& e);

}  // namespace sotto::report
