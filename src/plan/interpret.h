#pragma once

#include <functional>
#include <span>
#include <vector>

#include "plan/plan.h"

namespace sotto::plan {

/// The float64 interpretation of a plan for one image (preprocessed, [c][h][w]): the scores. The oracle of the encrypted
/// interpretation, and checked itself against the network that the plan came from.
/// observe(tensor index, values [c][h][w]) is called for every tensor if given.
std::vector<double> interpret(const Plan& plan, std::span<const double> image,
                              const std::function<void(int, std::span<const double>)>& observe = {});

}  // namespace sotto::plan
