#pragma once

#include "circuit/circuit.h"
#include "plan/plan.h"

namespace sotto::compiler {

/// How many positions and channels of an image share a ciphertext (packing::Layout).
struct Packing {
  int tile = 8;   ///< T
  int group = 1;  ///< G
};

/// The tile that all maps of a circuit fit into with one phase; smaller maps need fewer rotations then. Throws
/// Error{bad_input} if a map is too large for any packing.
int largest_tile(const circuit::Circuit& circuit);

/// Whether the circuit's maps fit this tile.
bool fits(const circuit::Circuit& circuit, int tile);

/// A circuit in a packing: a plan without levels, scales and keys.
plan::Plan pack(const circuit::Circuit& circuit, const Packing& packing);

}  // namespace sotto::compiler
