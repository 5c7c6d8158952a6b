#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "client/key_files.h"
#include "plan/client_spec.h"

namespace sotto::client {

/// Slots of one input ciphertext (one phase of one block of channels, see plan::Layout) for up to spec.batch
/// preprocessed images in [c][h][w], at least one. Those that are missing to a full batch are there once more: slots of
/// zeros may be pictures that leave the range of the network and spoil the others.
std::vector<double> pack_slots(const plan::ClientSpec& spec, std::span<const std::vector<double>> images, int phase,
                               int block);

/// Encrypts preprocessed images into the contents of an input file, in batches of spec.batch. Returns the input's id.
std::string encrypt_images(const plan::ClientSpec& spec, const Keys& keys, std::span<const std::vector<double>> images,
                           const Sink& sink, const ProgressFn& progress);

}  // namespace sotto::client
