#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "client/key_files.h"
#include "plan/client_spec.h"

namespace sotto::client {

/// Slots of one input ciphertext (one phase of one block of channels, see plan::Layout) for up to spec.batch
/// preprocessed images in [c][h][w]; images that are missing are zeros.
std::vector<double> pack_slots(const plan::ClientSpec& spec, std::span<const std::vector<double>> images, int phase,
                               int block);

/// Encrypts preprocessed images into an input file, in batches of spec.batch. Returns the input's id.
std::string encrypt_images(const plan::ClientSpec& spec, const Keys& keys, std::span<const std::vector<double>> images,
                           const std::filesystem::path& path, const ProgressFn& progress);

/// Options of decryption.
struct DecryptOptions {
  /// Noise flooding for results that leave the owner's hands (IND-CPA-D, see SECURITY.md): Gaussian noise of this
  /// standard deviation, in units of scores, is added to every score. 0: none.
  double flood = 0;
};

struct Decrypted {
  std::vector<std::vector<double>> scores;  ///< [image][class]
  std::string input_id;
};

/// Decrypts an output file. Throws Error{wrong_key} if it belongs to another key or plan.
Decrypted decrypt_scores(const plan::ClientSpec& spec, const Keys& keys, const std::filesystem::path& path,
                         const DecryptOptions& options, const ProgressFn& progress);

}  // namespace sotto::client
