#include "sotto/signing.h"

#include <utility>

#include "api/signing.h"
#include "base/error.h"
#include "base/text.h"
#include "signing/signing_key.h"
#include "wire/signing_key_file.h"

namespace sotto {

SigningKey::SigningKey(std::shared_ptr<const signing::SigningKey> key) : key_(std::move(key)) {}

SigningKey SigningKey::generate() {
  return SigningKey(std::make_shared<const signing::SigningKey>(signing::SigningKey::generate()));
}

SigningKey SigningKey::read(const std::filesystem::path& path) {
  return SigningKey(std::make_shared<const signing::SigningKey>(wire::read_signing_key(path)));
}

void SigningKey::write(const std::filesystem::path& path) const { wire::write_signing_key(path, *key_); }

std::string SigningKey::verification_key() const { return signing::to_text(key_->verification_key()); }

namespace api {

std::optional<signing::VerificationKey> verification_key_of(const std::string& digits) {
  if (digits.empty()) return std::nullopt;
  const auto key = signing::verification_key_of(digits);
  if (!key || !signing::is_valid(*key))
    throw Error(ErrorCode::usage, "'" + readable_text(digits) + "' is no verification key (64 hexadecimal digits)");
  return key;
}

std::string text_of(const std::optional<signing::VerificationKey>& key) {
  return key ? signing::to_text(*key) : std::string();
}

}  // namespace api

}  // namespace sotto
