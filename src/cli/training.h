#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/data_options.h"
#include "engine/trainer.h"
#include "plan/work.h"

namespace sotto::cli {

/// What `sotto-server train --json` writes. speed: measured before the run.
nlohmann::json to_json(const engine::TrainingReport& report, const engine::Trainer& trainer, const plan::Speed& speed,
                       int threads, double seconds);

/// Prints what a training costs, as `sotto plan` does for any plan.
void show_training(const lowering::TrainingPlan& plan, bool as_json, int threads);

/// How long a training is predicted to take, in words. feature_seconds: of a batch; 0: none.
std::string predicted_times(double seconds_per_step, double feature_seconds);

/// lowering::plan_training with its progress on stderr. calibrate, reading: images to measure on the layers that run
/// once for every image; may be none.
lowering::TrainingPlan plan_training(const std::string& model, const training::Spec& spec,
                                     const std::vector<std::string>& calibrate, const ReadingOptions& reading,
                                     ckks::SecurityLevel security = ckks::SecurityLevel::classical128);

/// Makes NAME.plan and NAME.client from a model and SPEC.toml. Returns what to tell the user. calibrate, reading: as
/// for plan_training; signer: who must sign results, if anyone.
std::string compile_training(const std::string& model, const std::string& spec,
                             const std::vector<std::string>& calibrate, const ReadingOptions& reading,
                             ckks::SecurityLevel security, const std::optional<signing::VerificationKey>& signer,
                             const std::string& plan_path, const std::string& client_path);

}  // namespace sotto::cli
