#pragma once

#include <cstddef>
#include <cstdint>

namespace sotto::wire {

/// Bytes of one residue in a file, for moduli of so many bits: 4 to 6 (every modulus is below 2^48).
constexpr std::size_t word_bytes(int modulus_bits) { return static_cast<std::size_t>(modulus_bits + 7) / 8; }

/// The `width` low bytes of every word, little-endian. dst: n * width bytes; width: 1 to 8.
void pack_words(unsigned char* dst, const std::uint64_t* src, std::size_t n, std::size_t width);

/// The inverse. Returns false if a word is not below `modulus`; dst is then unspecified.
[[nodiscard]] bool unpack_words(std::uint64_t* dst, const unsigned char* src, std::size_t n, std::size_t width,
                                std::uint64_t modulus);

}  // namespace sotto::wire
