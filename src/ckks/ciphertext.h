#pragma once

#include "ring/ring.h"

namespace sotto::ckks {

/// An encoded message: values (transformed) modulo the first `limbs()` ciphertext primes, times `scale`.
struct Plaintext {
  ring::RnsPoly poly;
  double scale = 1;

  [[nodiscard]] int limbs() const { return static_cast<int>(poly.size()); }
};

/// An encryption of c0 + c1 s; both polynomials are transformed and have limbs() limbs.
struct Ciphertext {
  ring::RnsPoly c0, c1;
  double scale = 1;  ///< slots hold message * scale, tracked exactly

  [[nodiscard]] int limbs() const { return static_cast<int>(c0.size()); }
};

/// A ciphertext that waits: limbs of six bytes per word, which linear maps read as they are.
struct PackedCiphertext {
  ring::PackedPoly c0, c1;
  double scale = 1;

  [[nodiscard]] int limbs() const { return static_cast<int>(c0.size()); }
};

/// Packs a ciphertext, freeing its limbs one by one.
PackedCiphertext pack(const ring::Ring& ring, Ciphertext c);
/// The first `limbs` limbs, at most c.limbs().
Ciphertext unpack(const ring::Ring& ring, const PackedCiphertext& c, int limbs);

}  // namespace sotto::ckks
