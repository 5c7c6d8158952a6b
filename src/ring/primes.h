#pragma once

#include <cstdint>
#include <vector>

namespace sotto::ring {

/// Deterministic Miller-Rabin for any 64-bit number.
bool is_prime(std::uint64_t n);

/// The `count` largest primes below 2^bits that are 1 modulo `step`, descending. Throws Error{usage} if there are
/// fewer.
std::vector<std::uint64_t> largest_primes(std::size_t count, int bits, std::uint64_t step);

/// The smallest primitive `order`-th root of unity modulo q found from the bases 2, 3, ..; order a power of two that
/// divides q - 1.
std::uint64_t root_of_unity(std::uint64_t order, std::uint64_t q);

/// a * b, a^-1 modulo q < 2^63.
std::uint64_t mul_mod(std::uint64_t a, std::uint64_t b, std::uint64_t q);
std::uint64_t inverse_mod(std::uint64_t a, std::uint64_t q);

/// An integer of any size that a double holds, modulo q < 2^63.
std::uint64_t residue_of(double integer, std::uint64_t q);

}  // namespace sotto::ring
