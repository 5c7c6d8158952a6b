#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sotto::wire {

struct JsonLimits;

/// What a Sotto file holds. The numbers are part of the format (docs/formats/container.md).
enum class Kind : std::uint32_t {
  plan = 1,         ///< NAME.plan: a network with its weights, for the server
  client = 2,       ///< NAME.client: the public part of a plan
  secret_key = 3,   ///< secret.key
  eval_key = 4,     ///< eval.key
  input = 5,        ///< encrypted images
  output = 6,       ///< encrypted scores
  public_key = 7,   ///< what lets others encrypt
  signing_key = 8,  ///< with which results and inputs are signed
};

/// A kind as messages name it.
std::string_view name_of(Kind kind);

/// Version that this build writes, and the only one that it reads.
inline constexpr std::uint32_t kVersion = 18;

inline constexpr std::array<unsigned char, 8> kMagic = {'S', 'O', 'T', 'T', 'O', '\r', '\n', 0x1a};
/// Magic, version (u32), kind (u32), header length (u64), BLAKE2b-256 of these 24 bytes and the header.
inline constexpr std::size_t kPreambleBytes = 8 + 4 + 4 + 8 + 32;
inline constexpr std::size_t kChecksumBytes = 32;
inline constexpr std::size_t kSignatureBytes = 64;  ///< behind the last section of a file that is signed

/// How large a JSON header of a kind may be. A reader needs some 16 bytes of memory for a value and 120 for a
/// container.
JsonLimits header_limits(Kind kind);

}  // namespace sotto::wire
