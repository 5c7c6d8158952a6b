#include "signing/signing_key.h"

#include <sodium.h>

#include "base/error.h"

namespace sotto::signing {

SigningKey SigningKey::generate() {
  SecretArray<unsigned char> seed(kSeedBytes);
  randombytes_buf(seed.data(), seed.size());
  return SigningKey(seed);
}

SigningKey::SigningKey(const SecretArray<unsigned char>& seed) : secret_(crypto_sign_SECRETKEYBYTES) {
  check(seed.size() == kSeedBytes, "a signing key follows from 32 bytes");
  crypto_sign_seed_keypair(public_.data(), secret_.data(), seed.data());
}

SecretArray<unsigned char> SigningKey::seed() const {
  SecretArray<unsigned char> out(kSeedBytes);
  crypto_sign_ed25519_sk_to_seed(out.data(), secret_.data());
  return out;
}

Signature SigningKey::sign(std::span<const unsigned char> message) const {
  Signature out{};
  crypto_sign_detached(out.data(), nullptr, message.data(), message.size(), secret_.data());
  return out;
}

}  // namespace sotto::signing
