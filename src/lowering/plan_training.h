#pragma once

#include <functional>

#include "compiler/planning_hooks.h"
#include "lowering/compile.h"
#include "sotto/io.h"

namespace sotto::lowering {

/// Images that a network is measured on, by how they become its input.
using CalibrationFor = std::function<compiler::Calibration(const plan::Interface&)>;

/// The plan that trains a network's layers as a spec says. Throws Error{bad_input} for a model or layers that cannot be
/// trained, or whose weights could not be written back into the model; Error{no_resources} if a step needs more levels
/// than bootstrapping leaves, or than there are at the level of security. hooks hear how the
/// layers that run once for every image are measured, and what the model's user should know of how it was read.
/// calibration: gives the images on which layers that run once for every image are measured, if there are any; without
/// it they are made up.
TrainingPlan plan_training(const Source& model, const training::Spec& spec, const compiler::PlanningHooks& hooks = {},
                           const CalibrationFor& calibration = {},
                           ckks::SecurityLevel security = ckks::SecurityLevel::classical128);

}  // namespace sotto::lowering
