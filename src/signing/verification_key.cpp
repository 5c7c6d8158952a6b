#include "signing/verification_key.h"

#include <sodium.h>

namespace sotto::signing {

bool verify(const VerificationKey& key, std::span<const unsigned char> message, const Signature& signature) {
  return crypto_sign_verify_detached(signature.data(), message.data(), message.size(), key.data()) == 0;
}

bool is_valid(const VerificationKey& key) { return crypto_core_ed25519_is_valid_point(key.data()) == 1; }

std::string to_text(const VerificationKey& key) {
  std::string out(2 * key.size() + 1, '\0');
  sodium_bin2hex(out.data(), out.size(), key.data(), key.size());
  out.pop_back();
  return out;
}

std::optional<VerificationKey> verification_key_of(std::string_view digits) {
  VerificationKey key{};
  std::size_t length = 0;
  if (digits.size() != 2 * key.size() ||
      sodium_hex2bin(key.data(), key.size(), digits.data(), digits.size(), nullptr, &length, nullptr) != 0 ||
      length != key.size())
    return std::nullopt;
  return key;
}

std::string identity_of(const VerificationKey& key) {
  static constexpr std::string_view kDomain = "Sotto owner";
  std::array<unsigned char, 16> hash{};
  crypto_generichash_state state;
  crypto_generichash_init(&state, nullptr, 0, hash.size());
  crypto_generichash_update(&state, reinterpret_cast<const unsigned char*>(kDomain.data()), kDomain.size());
  crypto_generichash_update(&state, key.data(), key.size());
  crypto_generichash_final(&state, hash.data(), hash.size());
  std::string out(2 * hash.size() + 1, '\0');
  sodium_bin2hex(out.data(), out.size(), hash.data(), hash.size());
  out.pop_back();
  return out;
}

}  // namespace sotto::signing
