#pragma once

#include <functional>

#include "ckks/key_file.h"
#include "encrypt/public_key.h"
#include "secret/secret_key.h"

namespace sotto::secret {

/// Makes key-switching keys for one secret. The ephemeral secret of bootstrapping lives as long as this object, is
/// wiped with it and never leaves it: both of its keys have to come from the same generator.
class KeyGenerator {
 public:
  /// key: in a ring whose primes are these ciphertext primes, then special ones.
  KeyGenerator(int ciphertext_primes, const SecretKey& key);

  /// The key to the ephemeral secret is made in an ephemeral tier only, others in no such tier.
  [[nodiscard]] ckks::SeededSwitchingKey switching_key(const ckks::KeyShape& shape) const;
  /// For messages of so many limbs.
  [[nodiscard]] encrypt::PublicKey public_key(int message_limbs) const;

 private:
  int ciphertext_primes_;
  const SecretKey& key_;
  SecretArray<std::int8_t> ephemeral_;
};

}  // namespace sotto::secret
