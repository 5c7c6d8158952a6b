#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/data_options.h"
#include "engine/trainer.h"

namespace sotto::cli {

/// What `sotto-server train --json` writes.
nlohmann::json to_json(const engine::TrainingReport& report, const engine::Trainer& trainer, int threads,
                       double seconds);

/// Prints what a training costs, as `sotto plan` does for any plan.
void show_training(const lowering::TrainingPlan& plan, bool as_json);

/// Makes NAME.plan and NAME.client from a model and SPEC.toml. Returns what to tell the user.
/// calibrate, reading: images to measure on the layers that run once for every image; may be none.
std::string compile_training(const std::string& model, const std::string& spec,
                             const std::vector<std::string>& calibrate, const ReadingOptions& reading,
                             const std::string& plan_path, const std::string& client_path);

}  // namespace sotto::cli
