#include "cli/result_origin.h"

#include <algorithm>

#include "base/error.h"
#include "base/hex.h"
#include "base/text.h"
#include "cli/console.h"
#include "cli/input_notes.h"
#include "cli/signing_options.h"

namespace sotto::cli {

void OriginOptions::add_options(CLI::App& verb) {
  verb.add_option("--signer", signer,
                  "Results must be signed by this verification key (64 digits, or the signing key's file), also if the "
                  "plan does not promise it");
  verb.add_option("--for", input, "Results must be of this file of encrypted images");
  verb.add_option("--from", input_signer,
                  "The input must be signed by this verification key: that of someone who encrypts for you");
}

client::Origin expected_origin(const OriginOptions& options, const std::string& results, const std::string& keys,
                               const std::string& key_id) {
  const ckks::CiphertextReader file(results, wire::Kind::output);
  const auto& signer = file.info().input_signer;
  const bool own = signer && signing::identity_of(*signer) == key_id;  // others' inputs are noted nowhere
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
  } else if (const auto record = find_record(keys, expected.input_id, own ? IfMissing::told : IfMissing::ignored)) {
    expected.input_digest = wire::checksum_of(record->input_digest);
    expected.images = record->count;
  }
  if (!options.input_signer.empty()) expected.input_signer = read_verification_key(options.input_signer);
  return expected;
}

void note_origin(const std::string& keys, const std::string& key_id, const client::ResultFile& file,
                 StepReport& report) {
  const std::string id = readable_text(file.input_id);
  if (!file.input_signer)
    print_note("the input " + id + " is not signed: anyone with the public key may have encrypted it");
  else if (signing::identity_of(*file.input_signer) != key_id)
    print_note("the input " + id + " is signed by someone else: " + signing::to_text(*file.input_signer));
  remember_result(keys, file.input_id, to_hex(file.digest));
  report.add("input_id", id);
  report.add("signer", file.signer ? nlohmann::json(signing::to_text(*file.signer)) : nlohmann::json());
}

}  // namespace sotto::cli
