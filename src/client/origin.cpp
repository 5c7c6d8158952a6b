#include "client/origin.h"

#include "base/error.h"
#include "base/text.h"

namespace sotto::client {

namespace {

[[noreturn]] void refuse(const ckks::CiphertextReader& results, const std::string& why) {
  throw Error(ErrorCode::wrong_key, "cannot use " + results.name() + ": " + why);
}

void require_signer(const ckks::CiphertextReader& results, const signing::VerificationKey& signer,
                    const std::string& who) {
  if (!results.signer())
    refuse(results, "it is not signed; " + who + " would have signed it with " + signing::to_text(signer));
  if (*results.signer() != signer)
    refuse(results, "it is signed with " + signing::to_text(*results.signer()) + ", not by " + who + " (" +
                        signing::to_text(signer) + ")");
}

}  // namespace

ResultFile result_file_of(const ckks::CiphertextReader& results) {
  return {results.info().input_id, results.digest(), results.signer(), results.info().input_signer};
}

void require_origin(const ckks::CiphertextReader& results, const std::optional<signing::VerificationKey>& promised,
                    const Origin& expected) {
  if (promised) require_signer(results, *promised, "the server of its plan");
  if (expected.signer) require_signer(results, *expected.signer, "the server that was named");
  const ckks::CiphertextFileInfo& info = results.info();
  if (!expected.input_id.empty() && info.input_id != expected.input_id)
    refuse(results, "it holds the results of another input (" + readable_text(info.input_id) + ", not " +
                        expected.input_id + ")");
  if (expected.input_digest && info.input_digest != *expected.input_digest)
    refuse(results, "it was computed from another file than the input " + readable_text(info.input_id) +
                        " that was encrypted here");
  if (expected.by_owner && (!info.input_signer || signing::identity_of(*info.input_signer) != info.key_id))
    refuse(results, "its input was not encrypted by the owner of the key; name who signed it");
  if (expected.input_signer && info.input_signer != expected.input_signer)
    refuse(results, info.input_signer ? "its input is signed with " + signing::to_text(*info.input_signer) +
                                            ", not with " + signing::to_text(*expected.input_signer)
                                      : "nobody signed its input");
}

}  // namespace sotto::client
