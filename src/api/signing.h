#pragma once

#include <optional>
#include <string>

#include "signing/verification_key.h"

namespace sotto::api {

/// Of 64 hexadecimal digits; nothing for an empty text. Throws Error{usage} for any other.
std::optional<signing::VerificationKey> verification_key_of(const std::string& digits);

/// The digits; empty for none.
std::string text_of(const std::optional<signing::VerificationKey>& key);

}  // namespace sotto::api
