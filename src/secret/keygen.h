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
  KeyGenerator(const ckks::Parameters& parameters, const SecretKey& key);

  /// The key to the ephemeral secret is made in an ephemeral tier only, others in no such tier.
  [[nodiscard]] ckks::SeededSwitchingKey switching_key(const ckks::KeyTier& tier, const ckks::KeyId& id) const;
  /// For messages of so many limbs.
  [[nodiscard]] encrypt::PublicKey public_key(int message_limbs) const;

 private:
  const ckks::Parameters& parameters_;
  const SecretKey& key_;
  SecretArray<std::int8_t> ephemeral_;
};

}  // namespace sotto::secret
