#pragma once

#include <functional>

#include "ckks/key_file.h"
#include "secret/secret_key.h"

namespace sotto::secret {

/// Encryptions of zero that let anyone encrypt: b = -a s + e for all ciphertext primes.
struct PublicKey {
  ring::RnsPoly b, a;
};

/// Makes key-switching keys for one secret.
class KeyGenerator {
 public:
  KeyGenerator(const ckks::Parameters& parameters, const SecretKey& key) : parameters_(parameters), key_(key) {}

  [[nodiscard]] ckks::SeededSwitchingKey switching_key(const ckks::KeyTier& tier, const ckks::KeyId& id) const;
  [[nodiscard]] PublicKey public_key() const;

 private:
  const ckks::Parameters& parameters_;
  const SecretKey& key_;
};

}  // namespace sotto::secret
