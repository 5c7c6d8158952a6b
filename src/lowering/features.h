#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "graph/onnx_weights.h"
#include "lowering/training_plan.h"
#include "program/program.h"
#include "training/twin.h"

namespace sotto::lowering {

/// Weights of a plan's step, by parameter, as those that the model gets.
std::vector<graph::NewWeights> weights_of_model(const TrainingPlan& plan, std::vector<std::vector<double>> weights);

/// Of features before they are bootstrapped, with this bootstrapping.
double feature_scale(const bootstrap::BootstrapSpec& bootstrapping, const Body& body);

/// What the step sees of examples: their features, by the float network, or the images themselves. Calls
/// progress(images done) after each.
std::vector<training::Example> seen_by_step(const TrainingPlan& plan, std::vector<training::Example> examples,
                                            const std::function<void(std::size_t)>& progress = {});

/// How many of these, as the step sees them, the body's range does not hold; those that are left over, as they make no
/// whole batch, do not count. Throws as training::batches_of does.
std::size_t out_of_range(const TrainingPlan& plan, const std::vector<training::Example>& seen);

/// From what a run of the body gives to the features as the images of the step lie, of the limbs and scale that
/// bootstrapping takes. A map lies there already; of scores there is one ciphertext for each, with the numbers of the
/// images at the first positions of their tiles.
program::Program pack_features(const TrainingPlan& plan);

}  // namespace sotto::lowering
