#pragma once

#include <cstddef>
#include <cstdint>

#include "base/secret_memory.h"
#include "ring/ring.h"

// Polynomials with small coefficients: what secrets, errors and the randomness of encryption are made of.
namespace sotto::encrypt {

/// Turns uniform bytes into uniform values from {-1, 0, 1} by rejection (255 = 3 * 85), at most `wanted`. Returns how
/// many were written.
std::size_t bytes_to_ternary(const unsigned char* bytes, std::size_t count, std::int8_t* dst, std::size_t wanted);

/// Fills dst with uniform values from {-1, 0, 1}.
void sample_ternary(SecretArray<std::int8_t>& dst);

/// Fills dst with a rounded Gaussian of standard deviation 3.19 (64-bit cumulative table, constant time).
void sample_error(SecretArray<std::int8_t>& dst);

/// Small signed coefficients modulo prime i, transformed.
SecretArray<std::uint64_t> to_values(const ring::Ring& ring, const SecretArray<std::int8_t>& coefficients,
                                     std::size_t i);

}  // namespace sotto::encrypt
