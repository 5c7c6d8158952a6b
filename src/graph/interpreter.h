#pragma once

#include <functional>
#include <span>
#include <vector>

#include "graph/network.h"

namespace sotto::graph {

/// The float64 reference: the output for one preprocessed image in [c][h][w].
/// observe(node index, value) is called for every node if given.
std::vector<double> evaluate(const Network& network, std::span<const double> image,
                             const std::function<void(int, std::span<const double>)>& observe = {});

/// The same for many images on all threads of the current TBB arena; progress(images done) is called
/// after each, by one thread at a time.
std::vector<std::vector<double>> evaluate_all(const Network& network, const std::vector<std::vector<double>>& images,
                                              const std::function<void(std::size_t)>& progress = {});

}  // namespace sotto::graph
