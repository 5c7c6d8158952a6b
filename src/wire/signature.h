#pragma once

#include <array>
#include <optional>
#include <span>
#include <string_view>

#include "signing/signing_key.h"
#include "wire/format.h"

namespace sotto::wire {

using Checksum = std::array<unsigned char, kChecksumBytes>;

/// Hash that names a file with all that is in it, in order: of the checksum of its header and of those of its sections.
Checksum digest_of(const Checksum& header, std::span<const Checksum> sections);

/// From 64 hexadecimal digits; nothing for any other text.
std::optional<Checksum> checksum_of(std::string_view digits);

/// Signs a file, given its digest (docs/formats/container.md).
signing::Signature sign(const signing::SigningKey& key, const Checksum& digest);

/// Whether that is how the other half of the key signed it.
bool is_signature(const signing::Signature& signature, const signing::VerificationKey& key, const Checksum& digest);

}  // namespace sotto::wire
