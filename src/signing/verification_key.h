#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sotto::signing {

/// The public half of an Ed25519 key pair (RFC 8032): tells whether its other half signed something.
using VerificationKey = std::array<unsigned char, 32>;
using Signature = std::array<unsigned char, 64>;

/// Whether a signature of a message was made by the other half of the key.
bool verify(const VerificationKey& key, std::span<const unsigned char> message, const Signature& signature);

/// Whether anybody can sign for it: 32 bytes need not be a key.
bool is_valid(const VerificationKey& key);

/// As 64 hexadecimal digits.
std::string to_text(const VerificationKey& key);
/// From 64 hexadecimal digits; nothing for any other text.
std::optional<VerificationKey> verification_key_of(std::string_view digits);

/// What an owner of images is called (key_id): 32 hexadecimal digits, a hash of the key with which they sign. Nobody
/// else finds a key of the same identity, so whoever knows it needs no certificate.
std::string identity_of(const VerificationKey& key);

}  // namespace sotto::signing
