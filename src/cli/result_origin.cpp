#include "cli/result_origin.h"

#include <algorithm>

#include "base/error.h"
#include "base/hex.h"
#include "base/text.h"
#include "cli/console.h"
#include "cli/input_notes.h"
#include "cli/signing_options.h"

namespace sotto::cli {

namespace {

std::string hex(const wire::Checksum& digest) { return to_hex(digest); }

}  // namespace

void OriginOptions::add_options(CLI::App& verb) {
  verb.add_option("--signer", signer,
                  "Results must be signed by this verification key (64 digits, or the signing key's file), also if the "
                  "plan does not promise it");
  verb.add_option("--for", input, "Results must be of this file of encrypted images");
  verb.add_option("--from", input_signer,
                  "The input must be signed by this verification key: that of someone who encrypts for you");
}

client::Origin expected_origin(const OriginOptions& options, const std::string& results, const std::string& keys,
                               const std::string& key_id, StepReport& report) {
  const ckks::CiphertextReader file(results, wire::Kind::output);
  client::Origin expected;
  expected.input_id = file.info().input_id;  // another file cannot take its place from now on
  if (!options.signer.empty()) expected.signer = read_verification_key(options.signer);
  if (!options.input.empty()) {
    const ckks::CiphertextReader input(options.input, wire::Kind::input);
    if (input.info().key_id != key_id)
      throw Error(ErrorCode::wrong_key, options.input + " was encrypted for another key");
    expected.input_id = input.info().input_id;
    expected.input_digest = input.digest();
    expected.images = input.info().images;
  } else if (const auto record = find_record(keys, expected.input_id)) {
    expected.input_digest = wire::checksum_of(record->input_digest);
    expected.images = record->count;
  }
  if (!options.input_signer.empty()) expected.input_signer = read_verification_key(options.input_signer);
  report.add("input_id", readable_text(file.info().input_id));
  report.add("signer", file.signer() ? nlohmann::json(signing::to_text(*file.signer())) : nlohmann::json());
  return expected;
}

void note_origin(const std::string& keys, const std::string& key_id, const std::string& id,
                 const wire::Checksum& digest, const std::optional<signing::VerificationKey>& input_signer) {
  if (!input_signer)
    print_note("the input " + readable_text(id) + " is not signed: anyone with the public key may have encrypted it");
  else if (signing::identity_of(*input_signer) != key_id)
    print_note("the input " + readable_text(id) + " is signed by someone else: " + signing::to_text(*input_signer));
  remember_result(keys, id, hex(digest));
}

}  // namespace sotto::cli
