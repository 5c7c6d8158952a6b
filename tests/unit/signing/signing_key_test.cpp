// Ed25519 as the standard has it, and what an owner of images is called.
#include "signing/signing_key.h"

#include <gtest/gtest.h>
#include <sodium.h>

#include <vector>

#include "base/error.h"

namespace sotto::signing {
namespace {

using Bytes = std::vector<unsigned char>;

Bytes from_hex(const std::string& digits) {
  Bytes out(digits.size() / 2);
  sodium_hex2bin(out.data(), out.size(), digits.data(), digits.size(), nullptr, nullptr, nullptr);
  return out;
}

SigningKey key_of(const std::string& seed) {
  const Bytes bytes = from_hex(seed);
  SecretArray<unsigned char> secret(bytes.size());
  std::copy(bytes.begin(), bytes.end(), secret.data());
  return SigningKey(secret);
}

// RFC 8032, section 7.1, tests 1 and 3.
TEST(SigningKey, SignsAsTheStandardSays) {
  const struct {
    const char *seed, *key, *message, *signature;
  } tests[] = {
      {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
       "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
       "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe"
       "24655141438e7a100b"},
      {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
       "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
       "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed2"
       "8dc027beceea1ec40a"}};
  for (const auto& t : tests) {
    const SigningKey key = key_of(t.seed);
    EXPECT_EQ(to_text(key.verification_key()), t.key);
    const Bytes message = from_hex(t.message);
    const Signature signature = key.sign(message);
    EXPECT_EQ(Bytes(signature.begin(), signature.end()), from_hex(t.signature));
    EXPECT_TRUE(verify(key.verification_key(), message, signature));
  }
}

TEST(VerificationKey, SomebodyCanSignForIt) {
  EXPECT_TRUE(is_valid(SigningKey::generate().verification_key()));
  EXPECT_FALSE(is_valid({})) << "of small order";
  VerificationKey none;
  none.fill(0xff);
  EXPECT_FALSE(is_valid(none)) << "no point at all";
}

TEST(SigningKey, NothingElsePasses) {
  const SigningKey key = SigningKey::generate(), other = SigningKey::generate();
  const Bytes message = {1, 2, 3};
  const Signature signature = key.sign(message);
  EXPECT_FALSE(verify(other.verification_key(), message, signature));
  EXPECT_FALSE(verify(key.verification_key(), Bytes{1, 2, 4}, signature));
  EXPECT_FALSE(verify(key.verification_key(), Bytes{1, 2}, signature));
  for (std::size_t at = 0; at < signature.size(); ++at) {
    Signature changed = signature;
    changed[at] ^= 1;
    ASSERT_FALSE(verify(key.verification_key(), message, changed)) << at;
  }
  EXPECT_FALSE(verify(VerificationKey{}, message, Signature{})) << "a key of small order";
}

TEST(SigningKey, ComesBackFromItsSeed) {
  const SigningKey key = SigningKey::generate(), same(key.seed());
  EXPECT_EQ(key.verification_key(), same.verification_key());
  EXPECT_EQ(key.sign(Bytes{7}), same.sign(Bytes{7}));
  EXPECT_NE(key.verification_key(), SigningKey::generate().verification_key());
}

TEST(SigningKey, FollowsFromThirtyTwoBytes) {
  for (const std::size_t size : {0u, 31u, 33u})
    EXPECT_THROW(SigningKey(SecretArray<unsigned char>(size)), Error) << size;
}

TEST(VerificationKey, AsText) {
  const VerificationKey key = SigningKey::generate().verification_key();
  const std::string digits = to_text(key);
  EXPECT_EQ(digits.size(), 64u);
  EXPECT_EQ(verification_key_of(digits), key);
  for (const std::string& wrong : {std::string(), digits.substr(1), digits + "0", "g" + digits.substr(1),
                                   digits.substr(0, 62) + " 0", std::string(64, ':')})
    EXPECT_EQ(verification_key_of(wrong), std::nullopt) << wrong;
}

// What other programs compute, too (docs/formats/keys.md).
TEST(VerificationKey, NamesItsOwner) {
  const auto key = verification_key_of("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
  EXPECT_EQ(identity_of(*key), "c8c96c78c079aa251a98534b7f1290c4");
  VerificationKey other = *key;
  other[31] ^= 1;
  EXPECT_NE(identity_of(other), identity_of(*key));
}

}  // namespace
}  // namespace sotto::signing
