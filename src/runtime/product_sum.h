#pragma once

#include <span>
#include <utility>
#include <vector>

#include "ckks/ciphertext.h"

namespace sotto::runtime {

/// A sum of products of ciphertexts before it is relinearised: d0 + d1 s + d2 s^2.
struct ProductSum {
  ring::RnsPoly d0, d1, d2;
};

/// A ciphertext times an integer.
struct IntegerMultiple {
  const ckks::PackedCiphertext* ciphertext = nullptr;
  double integer = 0;
};

/// The sum of the products of pairs and of multiples, at the first `limbs` limbs. d2 is empty if there are no pairs.
ProductSum sum_products(const ring::Ring& ring,
                        std::span<const std::pair<const ckks::PackedCiphertext*, const ckks::PackedCiphertext*>> pairs,
                        std::span<const IntegerMultiple> multiples, int limbs);

}  // namespace sotto::runtime
