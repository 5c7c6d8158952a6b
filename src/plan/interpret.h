#pragma once

#include <functional>
#include <span>
#include <vector>

#include "plan/plan.h"

namespace sotto::plan {

/// Where others look into an interpretation or change its values; each may be empty.
struct Hooks {
  std::function<void(std::vector<double>&)> input;             ///< the image
  std::function<void(int step, std::vector<double>&)> sum;     ///< a step's sum, before the square
  std::function<void(int step, std::vector<double>&)> result;  ///< a step's result
};

/// The float64 interpretation of a plan for one image (preprocessed, [c][h][w]): the scores. The oracle of the
/// encrypted interpretation, and checked itself against the network that the plan came from.
std::vector<double> interpret(const Plan& plan, std::span<const double> image, const Hooks& hooks);

/// observe(tensor index, values [c][h][w]) is called for every tensor if given.
std::vector<double> interpret(const Plan& plan, std::span<const double> image,
                              const std::function<void(int, std::span<const double>)>& observe = {});

}  // namespace sotto::plan
