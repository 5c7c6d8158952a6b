#pragma once

#include <optional>
#include <span>
#include <vector>

#include "lowering/compile.h"
#include "sotto/training_plan.h"

namespace sotto::api {

/// Some of a user's images, at equal distances, as a data set may be sorted by class; made-up ones if there are none.
compiler::Calibration calibration_for(const std::optional<ImagesView>& images, const plan::Interface& io);

/// Images with their labels. Throws Error{bad_input} for a shape that is not the network's, another number of labels,
/// or a label that no score has.
std::vector<training::Example> examples_of(const lowering::TrainingPlan& plan, const ImagesView& images,
                                           std::span<const int> labels);

/// Images that make no whole batch are told of.
void note_left_over(const lowering::TrainingPlan& plan, std::size_t images, const Hooks& hooks);

/// What the states behind the steps say, of which there is at least one.
TrainingResult result_of(const lowering::TrainingPlan& plan, std::vector<double> losses,
                         const std::vector<training::State>& states, int overflow);

}  // namespace sotto::api
