#include "wire/signature.h"

#include <sodium.h>

#include <algorithm>

#include "base/hex.h"

namespace sotto::wire {

namespace {

// What is signed: so that nothing else that a key ever signs is taken for the signature of a file.
std::array<unsigned char, 16 + kChecksumBytes> message_of(const Checksum& digest) {
  std::array<unsigned char, 16 + kChecksumBytes> message{'S', 'o', 't', 't', 'o', ' ', 's', 'i', 'g', 'n', 'e', 'd'};
  std::ranges::copy(digest, message.begin() + 16);
  return message;
}

}  // namespace

Checksum digest_of(const Checksum& header, std::span<const Checksum> sections) {
  Checksum out{};
  crypto_generichash_state state;
  crypto_generichash_init(&state, nullptr, 0, out.size());
  crypto_generichash_update(&state, header.data(), header.size());
  for (const Checksum& s : sections) crypto_generichash_update(&state, s.data(), s.size());
  crypto_generichash_final(&state, out.data(), out.size());
  return out;
}

std::optional<Checksum> checksum_of(std::string_view digits) {
  Checksum out{};
  return from_hex(digits, out) ? std::optional(out) : std::nullopt;
}

signing::Signature sign(const signing::SigningKey& key, const Checksum& digest) { return key.sign(message_of(digest)); }

bool is_signature(const signing::Signature& signature, const signing::VerificationKey& key, const Checksum& digest) {
  return signing::verify(key, message_of(digest), signature);
}

}  // namespace sotto::wire
