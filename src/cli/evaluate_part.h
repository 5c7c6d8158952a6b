#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "cli/planning.h"
#include "client/scores.h"

namespace sotto::cli {

/// What encrypted inference on some of the images gave.
struct PartResult {
  int exit_code = 0;  ///< not 0: the inference process has said why
  client::Scores scores;
  std::vector<Doubt> doubts;
  nlohmann::json stats;  ///< of the inference process (infer --stats)
  plan::Cost cost;
  double wall_seconds = 0;  ///< of the inference process
  std::uint64_t key_bytes = 0, input_bytes = 0, output_bytes = 0;
};

/// Plays both sides for one part: keys, encryption, `sotto-server infer` as its own process, decryption, in a private
/// folder that is removed at the end. values: the preprocessed images of the part. memory: as for infer, or empty.
PartResult run_part(const plan::Plan& plan, std::span<const std::vector<double>> values, int threads,
                    const std::string& memory);

}  // namespace sotto::cli
