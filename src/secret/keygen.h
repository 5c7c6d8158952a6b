#pragma once

#include <functional>

#include "ckks/eval_key.h"
#include "ckks/sampler.h"
#include "secret/secret_key.h"

namespace sotto::secret {

/// A switching key as it travels: the b polynomials and the seed of the a polynomials. Digit d's a modulo prime index i is
/// stream d of the seed.
struct SeededSwitchingKey {
  ckks::KeyId id;
  ckks::Seed seed;
  std::vector<ring::RnsPoly> b;  ///< per digit, limbs in the order of ckks::SwitchingKey
};

/// Encryptions of zero that let anyone encrypt: b = -a s + e for all ciphertext primes.
struct PublicKey {
  ring::RnsPoly b, a;
};

/// Makes key-switching keys for one secret.
class KeyGenerator {
 public:
  KeyGenerator(const ckks::Parameters& parameters, const SecretKey& key) : parameters_(parameters), key_(key) {}

  [[nodiscard]] SeededSwitchingKey switching_key(const ckks::KeyTier& tier, const ckks::KeyId& id) const;
  [[nodiscard]] PublicKey public_key() const;

 private:
  const ckks::Parameters& parameters_;
  const SecretKey& key_;
};

}  // namespace sotto::secret
