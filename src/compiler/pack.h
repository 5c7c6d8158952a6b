#pragma once

#include <optional>

#include "circuit/circuit.h"
#include "plan/plan.h"

namespace sotto::compiler {

/// How many positions and channels of an image share a ciphertext (packing::Layout).
struct Packing {
  packing::Axes tile = 8;  ///< T
  int group = 1;           ///< G
  bool fill = false;       ///< whether channels lie in the gaps that strides leave
};

/// The tile that all maps of a circuit fit into with one phase, as far as tiles go: up to packing::kMostTileSide
/// positions in each direction and 4,096 in all. Smaller maps need fewer rotations then. square: as high as wide.
/// Throws Error{bad_input} if a map is too large for any packing.
packing::Axes largest_tile(const circuit::Circuit& circuit, bool square);

/// The tile with half as many positions, by more phases along its longer side, or along the other one if the circuit's
/// maps had too many there. Nothing if there is none.
std::optional<packing::Axes> half_of(const packing::Axes& tile, const circuit::Circuit& circuit);

/// A circuit in a packing: a plan without levels, scales and keys.
plan::Plan pack(const circuit::Circuit& circuit, const Packing& packing);

}  // namespace sotto::compiler
