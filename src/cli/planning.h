#pragma once

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/data_options.h"
#include "engine/planner.h"
#include "plan/cost.h"

namespace sotto::cli {

/// What a plan is made of and for.
struct PlanRequest {
  std::string model = {};                   ///< ONNX file
  int images = 0;                           ///< 0: 1024
  std::string memory = {};                  ///< empty: what this machine has, if any packing keeps to that
  std::vector<std::string> calibrate = {};  ///< images to measure ranges on, as for images::load_images; may be empty
  ReadingOptions reading = {};              ///< of those
  bool precise = false;                     ///< an extra prime for every square of a deep network
  std::optional<double> relu_error = {};    ///< default: the largest that keeps the agreement
  std::string security = "128";             ///< ckks::level_named
  double agreement = 99.5;                  ///< percent of labels that must be predicted to be the float network's
};

/// Some of these images, at equal distances; made-up ones if there are none.
compiler::Calibration calibration_for(const std::vector<std::string>& sources, const ReadingOptions& reading,
                                      const plan::Interface& io);

/// Adds --batch, --memory, --agreement, --security, --calibrate, --precise and --relu-error.
void add_plan_options(CLI::App& verb, PlanRequest& request);

/// Imports and compiles a model with the packing that serves so many images in the least predicted time, in one run or
/// several, and with as much precision as the agreement takes. Throws Error{no_resources} if no packing fits the
/// memory, or if fewer labels are predicted to agree.
plan::Plan make_plan(const PlanRequest& request);

/// The cheapest way to serve exactly request.images images by predicted time: one packing, or full runs of one and the
/// rest in runs of a smaller one. Errors as for make_plan.
std::vector<engine::Part> make_parts(const PlanRequest& request);

/// One line: the predicted agreement of labels and error of scores, and on which images it was measured.
std::string describe(const plan::Prediction& prediction);

/// Ring, primes and security bits, for JSON.
nlohmann::json describe_security(const ckks::Parameters& parameters);

/// Who must sign results, for JSON: 64 hexadecimal digits or null.
nlohmann::json describe_signer(const std::optional<signing::VerificationKey>& signer);

/// Throws Error{no_resources} if the plan needs more than `limit` bytes (0: no limit).
void require_memory(const plan::Cost& cost, std::uint64_t limit);

}  // namespace sotto::cli
