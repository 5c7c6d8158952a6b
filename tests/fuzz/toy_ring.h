#pragma once

#include <memory>

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

}  // namespace sotto::fuzz
