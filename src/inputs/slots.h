#pragma once

#include <span>
#include <vector>

#include "plan/client_spec.h"

namespace sotto::inputs {

/// Slots of one input ciphertext (one phase of one block of channels, see plan::Layout) for up to spec.batch
/// preprocessed images in [c][h][w], at least one. Those that are missing to a full batch are there once more: slots of
/// zeros may be pictures that leave the range of the network and spoil the others.
std::vector<double> pack_slots(const plan::ClientSpec& spec, std::span<const std::vector<double>> images, int phase,
                               int block);

}  // namespace sotto::inputs
