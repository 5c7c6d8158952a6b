#pragma once

#include <filesystem>

#include "signing/signing_key.h"

namespace sotto::wire {

/// Writes a signing key (docs/formats/keys.md), mode 0600. Throws Error{usage} if anything is there: what was signed
/// with a key that is lost can be checked, but nothing more can be signed.
void write_signing_key(const std::filesystem::path& path, const signing::SigningKey& key);

/// Throws Error{bad_input} for a damaged file.
signing::SigningKey read_signing_key(const std::filesystem::path& path);

}  // namespace sotto::wire
