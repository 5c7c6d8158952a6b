#pragma once

#include <span>

#include "base/secret_memory.h"
#include "signing/verification_key.h"

namespace sotto::signing {

/// The secret half of an Ed25519 key pair (RFC 8032). It signs and can do nothing else: no ciphertext depends on it.
/// Cannot be copied; wiped when destroyed.
class SigningKey {
 public:
  static constexpr std::size_t kSeedBytes = 32;

  /// A fresh key from the operating system's generator.
  static SigningKey generate();
  /// The key that follows from these 32 bytes.
  explicit SigningKey(const SecretArray<unsigned char>& seed);

  /// What a file stores.
  [[nodiscard]] SecretArray<unsigned char> seed() const;
  [[nodiscard]] const VerificationKey& verification_key() const { return public_; }
  /// The same for the same message, always.
  [[nodiscard]] Signature sign(std::span<const unsigned char> message) const;

 private:
  VerificationKey public_{};
  SecretArray<unsigned char> secret_;  // as libsodium has it: the seed and the public half
};

}  // namespace sotto::signing
