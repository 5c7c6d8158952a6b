#pragma once

#include <map>
#include <vector>

#include "lowering/lowered_step.h"
#include "lowering/training_plan.h"
#include "plan/work.h"

namespace sotto::lowering {

/// What a program takes, by kind of instruction: key switches by their limbs, products, divisions, plaintexts and
/// bootstraps, as plan::estimate counts them for inference. Reading keys is not counted. tiers: of the keys, which
/// serve all levels of the program.
std::map<program::Instruction::Kind, plan::Work> work_of(const program::Program& program,
                                                         const std::vector<ckks::KeyTier>& tiers, int log_n);

/// Seconds of a step, once keys are in memory.
double seconds_per_step(const TrainingPlan& plan, const LoweredStep& lowered, const plan::Speed& speed);

/// By instruction of a program, about: the part of its time that has passed where it begins; then 1. All of a kind
/// count alike.
std::vector<double> parts_passed(const program::Program& program, const std::vector<ckks::KeyTier>& tiers, int log_n);

/// Seconds that the features of a batch take: runs of the body, packing and bootstraps. 0 without a body, or where its
/// plan is not known, as to the owner of images.
double feature_seconds(const TrainingPlan& plan, const LoweredStep& lowered, const plan::Speed& speed);
/// Those of the bootstraps among them, which come last.
double feature_bootstrap_seconds(const TrainingPlan& plan, const LoweredStep& lowered, const plan::Speed& speed);

}  // namespace sotto::lowering
