#pragma once

#include <functional>
#include <vector>

#include "graph/network.h"

namespace sotto::graph {

/// How large the values of a network become: the largest magnitude of a node's value by image, [node][image].
using Magnitudes = std::vector<std::vector<double>>;

/// Of every node over preprocessed images. On all threads of the current TBB arena. progress(images done) is called
/// after each image, by one thread at a time, and may throw to end the measurement. Throws Error{bad_input} if a value
/// is not finite.
Magnitudes magnitudes(const Network& network, const std::vector<std::vector<double>>& images,
                      const std::function<void(std::size_t)>& progress = {});

/// A bound for an image in 100,000 of the kind of those that were measured: half as much again as the largest magnitude
/// of them, or more where the larger ones of at least 32 lie far apart (the largest eighth taken to decay
/// exponentially), up to three times as much. 0 of no image.
double range_beyond(std::vector<double> magnitudes);

/// Vouches for range_beyond what was measured as the range of what the activations read; keeps the largest magnitudes.
/// missing: only where no range is stated yet.
void set_ranges(Network& network, const Magnitudes& magnitudes, bool missing = false);

/// Whether the network has activations, or polynomials of more than one factor.
bool needs_ranges(const Network& network);

/// Whether the network has activations.
bool has_functions(const Network& network);

}  // namespace sotto::graph
