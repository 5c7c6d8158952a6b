#pragma once

#include <optional>

#include "ckks/ciphertext_file.h"

namespace sotto::engine {

/// Throws Error{usage} if a plan promises signed results and there is no key, Error{wrong_key} if it is another one.
void require_signing_key(const std::optional<signing::VerificationKey>& promised, const signing::SigningKey* key);

/// Throws Error{wrong_key} unless an input comes from the owner of the key that it names: who encrypts with the secret
/// key always signs. What others encrypted with the public key may be signed by anyone or nobody, and is refused if
/// owners_only is set.
void require_owner(const ckks::CiphertextReader& input, bool owners_only);

}  // namespace sotto::engine
