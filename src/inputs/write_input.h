#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ckks/ciphertext_file.h"
#include "plan/client_spec.h"
#include "sotto/io.h"

namespace sotto::inputs {

/// Called with the work done and the work in all.
using ProgressFn = std::function<void(std::size_t done, std::size_t total)>;

/// Throws Error{bad_input} that names the image, number `index`, if it holds a value for which the sum of the inputs,
/// the first probe, has no room: it would look as if it were under another key.
void require_room(const plan::ClientSpec& spec, std::span<const double> image, std::size_t index);

/// What an input is called.
struct InputName {
  std::string id;         ///< 32 hexadecimal digits, new every time
  wire::Checksum digest;  ///< of its file
};

/// A way to encrypt.
struct Encryption {
  std::string key_id;              ///< of the secret key that decrypts
  std::optional<ckks::Seed> seed;  ///< of all c1, if they come from one
  /// Writes the encryption of a message, ciphertext k of the file.
  std::function<void(ckks::CiphertextWriter& file, const ckks::Plaintext& message, std::uint64_t k)> write;
  const signing::SigningKey* signer = nullptr;  ///< whose key signs the file, if any
};

/// Encrypts preprocessed images into the contents of an input file, in batches of spec.batch. Throws what require_room
/// throws.
InputName write_input(const plan::ClientSpec& spec, const ring::Ring& ring, const Encryption& encryption,
                      std::span<const std::vector<double>> images, const Sink& sink, const ProgressFn& progress);

}  // namespace sotto::inputs
