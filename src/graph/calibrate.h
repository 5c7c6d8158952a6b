#pragma once

#include <functional>
#include <span>
#include <vector>

#include "graph/network.h"

namespace sotto::graph {

/// The largest magnitude of every node's value over preprocessed images. On all threads of the current TBB arena.
/// progress(images done) is called after each image, by one thread at a time, and may throw to end the measurement.
/// Throws Error{bad_input} if a value is not finite.
std::vector<double> magnitudes(const Network& network, const std::vector<std::vector<double>>& images,
                               const std::function<void(std::size_t)>& progress = {});

/// Vouches for magnitudes[i], times a margin, as the range of what the activations read; keeps the magnitudes.
/// missing: only where no range is stated yet.
void set_ranges(Network& network, std::span<const double> magnitudes, double margin, bool missing = false);

/// Whether the network has activations, or polynomials of more than one factor.
bool needs_ranges(const Network& network);

/// Whether the network has activations.
bool has_functions(const Network& network);

}  // namespace sotto::graph
