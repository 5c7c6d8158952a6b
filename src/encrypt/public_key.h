#pragma once

#include <memory>

#include "ckks/ciphertext.h"
#include "ckks/key_switch.h"
#include "ckks/sampler.h"

namespace sotto::encrypt {

/// An encryption of zero with which anyone encrypts for the owner of a secret s: b = -a s + e modulo the first special
/// prime and the first ciphertext primes of a ring, in this order. a is stream 0 of the seed.
struct PublicKey {
  ring::RnsPoly b;
  ckks::Seed seed{};

  [[nodiscard]] int limbs() const { return static_cast<int>(b.size()); }
};

/// Limbs of a public key that encrypts messages of this many: encryption works modulo a special prime, too, and divides
/// by it.
inline int public_key_limbs(int message_limbs) { return message_limbs + 1; }

/// Index in the ring of the prime of limb l, with so many ciphertext primes before the special ones.
inline std::size_t public_key_prime(std::size_t l, int ciphertext_primes) {
  return l == 0 ? static_cast<std::size_t>(ciphertext_primes) : l - 1;
}

/// Encrypts with a public key. Holds no secret, and cannot decrypt what it made.
class PublicEncryption {
 public:
  PublicEncryption(const ckks::Parameters& parameters, std::shared_ptr<const ring::Ring> ring, PublicKey key);

  /// round((b u + e0 + p m, a u + e1) / p) for the special prime p: u uniform ternary like a secret, e0 and e1 like the
  /// errors of keys, all new. What (e u + e0 + e1 s) / p leaves beside the rounding is nothing. The key needs
  /// public_key_limbs(message.limbs()) limbs.
  [[nodiscard]] ckks::Ciphertext encrypt(const ckks::Plaintext& message) const;

  /// The sum of a ciphertext and an encryption of zero, made as by encrypt: what c1 was no longer shows, only message
  /// and error, to which those of a division come. The key needs public_key_limbs(c.limbs()) limbs.
  [[nodiscard]] ckks::Ciphertext renew(const ckks::Ciphertext& c) const;

 private:
  // c0 + c1 s as above; without c1 it is 0.
  [[nodiscard]] ckks::Ciphertext encrypt(const ring::RnsPoly& c0, const ring::RnsPoly* c1, double scale) const;

  int ciphertext_primes_;
  std::shared_ptr<const ring::Ring> ring_;
  ckks::KeySwitcher switcher_;  // for the division; it has no keys
  ring::RnsPoly b_, a_;
};

}  // namespace sotto::encrypt
