#pragma once

#include <functional>
#include <span>
#include <vector>

#include "graph/network.h"

namespace sotto::graph {

/// The largest magnitude of each Relu node's input over preprocessed images, in the order of the nodes. On all threads
/// of the current TBB arena. progress(images done) is called after each image, by one thread at a time, and may throw
/// to end the measurement. Throws Error{bad_input} if an input is not finite. Looks at no image if there is no Relu.
std::vector<double> relu_ranges(const Network& network, const std::vector<std::vector<double>>& images,
                                const std::function<void(std::size_t)>& progress = {});

/// Vouches for margin * ranges[k] at the k-th Relu node.
void set_relu_ranges(Network& network, std::span<const double> ranges, double margin);

}  // namespace sotto::graph
