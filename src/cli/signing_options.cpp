#include "cli/signing_options.h"

#include "base/error.h"
#include "cli/console.h"
#include "wire/signing_key_file.h"

namespace sotto::cli {

namespace {

CLI::Validator key_id() {
  return {[](std::string& text) -> std::string {
            return text.size() == 32 && text.find_first_not_of("0123456789abcdef") == std::string::npos
                       ? ""
                       : "'" + text + "' is no key id (32 hexadecimal digits, which keygen shows)";
          },
          "ID"};
}

}  // namespace

signing::VerificationKey read_verification_key(const std::string& digits_or_file) {
  if (const auto key = signing::verification_key_of(digits_or_file)) {
    if (!signing::is_valid(*key)) throw Error(ErrorCode::bad_input, "nobody can sign for the key " + digits_or_file);
    return *key;
  }
  return read_signing_key(digits_or_file)->verification_key();
}

std::shared_ptr<const signing::SigningKey> read_signing_key(const std::string& path) {
  if (path.empty()) return nullptr;
  hide_memory();
  return std::make_shared<const signing::SigningKey>(wire::read_signing_key(path));
}

void ServingOptions::add_options(CLI::App& verb) {
  verb.add_option("--signing-key", signing_key, "Sign the output with this key (sotto signing-key makes one)");
  verb.add_option("--client", client,
                  "Compute for this client alone, named by its key id: keys and input must be its own")
      ->check(key_id());
}

void ServingOptions::require_client(const ckks::KeyFile& keys) const {
  if (!client.empty() && keys.key_id() != client)
    throw Error(ErrorCode::wrong_key, "the key of " + keys.name() + " is " + keys.key_id() + ", not " + client);
}

}  // namespace sotto::cli
