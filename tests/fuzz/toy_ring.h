#pragma once

#include <algorithm>
#include <memory>

#include "ckks/eval_key.h"
#include "secret/secret_key.h"
#include "simd/kernels.h"
#include "support/toy_parameters.h"

namespace sotto::fuzz {

/// The ring without security that files of keys and ciphertexts are read for.
struct ToyRing {
  ckks::ParametersSpec spec{
      .log_n = 6, .kind = ring::RingKind::conjugate_invariant, .ciphertext_primes = 3, .special_primes = 2};
  ckks::Parameters parameters = ckks::ToyParameters::make(spec);
  std::shared_ptr<const ring::Ring> ring = parameters.make_ring(simd::select_kernels());
  ckks::KeyRequest request{{{3, 2}, {1, 1, true}},
                           {{0, 0}, {0, ring->rotation_galois_element(1)}, {1, ckks::kToEphemeral}}};

  static const ToyRing& shared() {
    static const ToyRing ring;
    return ring;
  }
};

/// The owner of toy keys, whose bytes are all zero: nobody's.
inline const secret::OwnerKey& toy_owner() {
  static const secret::OwnerKey owner = [] {
    SecretArray<unsigned char> zeros(secret::OwnerKey::kBytes);
    std::fill_n(zeros.data(), zeros.size(), static_cast<unsigned char>(0));
    return secret::OwnerKey(zeros);
  }();
  return owner;
}

}  // namespace sotto::fuzz
