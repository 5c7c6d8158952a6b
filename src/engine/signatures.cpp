#include "engine/signatures.h"

#include "base/error.h"

namespace sotto::engine {

void require_signing_key(const std::optional<signing::VerificationKey>& promised, const signing::SigningKey* key) {
  if (!promised) return;
  if (key == nullptr)
    throw Error(ErrorCode::usage, "this plan promises results signed with " + signing::to_text(*promised),
                Setting::signing_key);
  if (key->verification_key() != *promised)
    throw Error(ErrorCode::wrong_key, "this plan promises results signed with " + signing::to_text(*promised) +
                                          ", not with " + signing::to_text(key->verification_key()));
}

void require_owner(const ckks::CiphertextReader& input, bool owners_only) {
  const ckks::CiphertextFileInfo& info = input.info();
  if (input.signer() && signing::identity_of(*input.signer()) == info.key_id) return;
  if (info.seed)
    throw Error(ErrorCode::wrong_key, "cannot use " + input.name() + ": the owner of the key that it names (" +
                                          info.key_id + ") did not sign it");
  if (owners_only)
    throw Error(ErrorCode::wrong_key, "cannot use " + input.name() + ": someone else than the owner of the key " +
                                          info.key_id + " encrypted it");
}

}  // namespace sotto::engine
