#pragma once

#include <array>
#include <cstdint>

#include "ring/ring.h"

namespace sotto::ckks {

/// 32 bytes from which a uniform polynomial is expanded; public.
using Seed = std::array<unsigned char, 32>;

/// A fresh seed from the operating system (libsodium).
Seed random_seed();

/// The uniform polynomial number `stream` of a seed modulo prime i: XChaCha20 key stream, 48-bit words, rejection.
/// Both sides of a file expand the same words. dst: n words in [0, q).
void expand_uniform(const ring::Ring& ring, const Seed& seed, std::uint64_t stream, std::size_t i, std::uint64_t* dst);

}  // namespace sotto::ckks
