#pragma once

#include "ckks/limbs.h"
#include "ring/ring.h"

namespace sotto::ckks {

/// An encoded message: values (transformed) modulo the ciphertext primes of its level, times `scale`. Limbs that are
/// absent are empty.
struct Plaintext {
  ring::RnsPoly poly;
  double scale = 1;

  [[nodiscard]] int limbs() const { return static_cast<int>(poly.size()); }
  [[nodiscard]] Level level() const { return level_of(poly); }
};

/// An encryption of c0 + c1 s; both polynomials are transformed. Limbs that are absent are empty.
struct Ciphertext {
  ring::RnsPoly c0, c1;
  double scale = 1;  ///< slots hold message * scale, tracked exactly

  [[nodiscard]] int limbs() const { return static_cast<int>(c0.size()); }
  [[nodiscard]] Level level() const { return level_of(c0); }
};

/// A ciphertext that waits: limbs of six bytes per word, which linear maps read as they are.
struct PackedCiphertext {
  ring::PackedPoly c0, c1;
  double scale = 1;

  [[nodiscard]] int limbs() const { return static_cast<int>(c0.size()); }
  [[nodiscard]] Level level() const { return level_of(c0); }
};

/// Packs a ciphertext, freeing its limbs one by one.
PackedCiphertext pack(const ring::Ring& ring, Ciphertext c);
/// At a level that the ciphertext's covers.
Ciphertext unpack(const ring::Ring& ring, const PackedCiphertext& c, const Level& level);

}  // namespace sotto::ckks
