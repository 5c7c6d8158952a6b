#pragma once

#include <cstddef>
#include <cstdint>

namespace sotto::wire {

/// Bytes of one residue in a file: every modulus is below 2^48.
inline constexpr std::size_t kWordBytes = 6;

/// Little-endian 48-bit words. dst: 6 n bytes.
void pack48(unsigned char* dst, const std::uint64_t* src, std::size_t n);

/// The inverse. Returns false if a word is not below `modulus`; dst is then unspecified.
[[nodiscard]] bool unpack48(std::uint64_t* dst, const unsigned char* src, std::size_t n, std::uint64_t modulus);

}  // namespace sotto::wire
