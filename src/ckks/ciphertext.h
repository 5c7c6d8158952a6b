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

}  // namespace sotto::ckks
