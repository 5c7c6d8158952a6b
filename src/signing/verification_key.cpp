#include "signing/verification_key.h"

#include <sodium.h>

#include "base/hex.h"

namespace sotto::signing {

bool verify(const VerificationKey& key, std::span<const unsigned char> message, const Signature& signature) {
  return crypto_sign_verify_detached(signature.data(), message.data(), message.size(), key.data()) == 0;
}

bool is_valid(const VerificationKey& key) { return crypto_core_ed25519_is_valid_point(key.data()) == 1; }

std::string to_text(const VerificationKey& key) { return to_hex(key); }

std::optional<VerificationKey> verification_key_of(std::string_view digits) {
  VerificationKey key{};
  return from_hex(digits, key) ? std::optional(key) : std::nullopt;
}

std::string identity_of(const VerificationKey& key) {
  static constexpr std::string_view kDomain = "Sotto owner";
  std::array<unsigned char, 16> hash{};
  crypto_generichash_state state;
  crypto_generichash_init(&state, nullptr, 0, hash.size());
  crypto_generichash_update(&state, reinterpret_cast<const unsigned char*>(kDomain.data()), kDomain.size());
  crypto_generichash_update(&state, key.data(), key.size());
  crypto_generichash_final(&state, hash.data(), hash.size());
  return to_hex(hash);
}

}  // namespace sotto::signing
