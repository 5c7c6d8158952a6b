#pragma once

#include <optional>

#include "graph/network.h"
#include "graph/onnx_tensor.h"

namespace sotto::graph {

/// What an axis of a value walks along in the network's node.
enum class Part { none, channels, height, width, pixels };

/// The part of every axis of a value of these dimensions on a node of this shape: none for axes of size 1, channels for
/// one or several leading axes that count channels, height and width for whole axes only, pixels for one axis over all
/// pixels. nullopt if an axis mixes them.
std::optional<std::vector<Part>> parts_of(const Shape& shape, const Dims& dims);

/// 0, 1, .. count - 1: what a Rearrange picks that moves pixels only.
std::vector<int> all_channels(int count);

}  // namespace sotto::graph
