#pragma once

#include <cstdint>

// What a program and its sotto-decode say to each other, over a stream socket that is descriptor 0 and 1 of the latter.
// Both run on one machine, so numbers are in its byte order. First comes a Hello; then, for every picture:
//   program: the number of bytes of the file (u64), the bytes
//   decoder: Answer{size, 0, width, height}         the upright picture's, before it is decoded
//   program: kGoOn (u32); a program that does not want it closes the socket
//   decoder: Answer{pixels, channels, width, height}, channels * width * height bytes in [c][y][x]
// In place of either answer: Answer{refused, bytes, 0, 0} and so many bytes of text that say why, or
// Answer{no_memory, 0, 0, 0} where the machine has less memory for it than the decoder's own limit allows.
namespace sotto::decode {

/// How far a decoder has given up its rights.
enum class Confinement : std::uint32_t {
  system_calls = 1,  ///< it may read and write its socket, take memory, and end
  limits = 2,        ///< the system allows no such filter: limits of memory and time, no new files, no capabilities
  none = 3,          ///< not even these could be set: it ends without reading anything
};

/// The decoder's first words.
struct Hello {
  std::uint32_t version = 0;  ///< kProtocolVersion
  Confinement confinement = Confinement::limits;
};
inline constexpr std::uint32_t kProtocolVersion = 2;

enum class AnswerKind : std::uint32_t { size = 1, pixels = 2, refused = 3, no_memory = 4 };

/// What comes back; see above for the meaning of its members.
struct Answer {
  AnswerKind kind = AnswerKind::refused;
  std::uint32_t count = 0, width = 0, height = 0;
};

inline constexpr std::uint32_t kGoOn = 1;
inline constexpr std::uint64_t kMostFileBytes = std::uint64_t{256} << 20;
inline constexpr std::uint32_t kMostTextBytes = 1000;

}  // namespace sotto::decode
