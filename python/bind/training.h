#pragma once

#include <nanobind/ndarray.h>

#include <span>

#include "shared.h"
#include "sotto/training_plan.h"

/// Trainings, as both extension modules have them.
namespace sotto::python {

/// The class of every image, int32, which the package sees to.
using LabelArray = nb::ndarray<nb::ro, std::int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

inline std::span<const int> view_of(const LabelArray& labels) { return {labels.data(), labels.size()}; }

/// Adds TrainingPlan and TrainingResult to a module.
void bind_training(nb::module_& module);

}  // namespace sotto::python
