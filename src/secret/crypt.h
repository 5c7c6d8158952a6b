#pragma once

#include <optional>

#include "ckks/ciphertext_file.h"
#include "secret/keygen.h"

namespace sotto::secret {

/// Encrypts under the secret key: c1 uniform from a seed, c0 = -c1 s + e + m. Half the size of a public-key encryption
/// and less noise. A seed may serve many ciphertexts if every one has its own stream.
ckks::SeededCiphertext encrypt_symmetric(const SecretKey& key, const ckks::Plaintext& message, const ckks::Seed& seed,
                                         std::uint64_t stream);

/// The centred coefficients of c0 + c1 s (message * scale + noise), from at most two limbs.
/// Nothing if they fill the modulus, as they do under any other key or when a value outgrew it: if one is larger than
/// this part of it.
std::optional<std::vector<double>> try_decrypt(const SecretKey& key, const ckks::Ciphertext& c, double most = 1.0 / 8);

/// The same; throws Error{wrong_key} in place of nothing.
std::vector<double> decrypt(const SecretKey& key, const ckks::Ciphertext& c);

}  // namespace sotto::secret
