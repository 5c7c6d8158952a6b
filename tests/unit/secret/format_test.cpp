// What follows from the bytes of an owner's key, as docs/formats/keys.md has it.
#include <gtest/gtest.h>
#include <sodium.h>

#include <vector>

#include "secret/secret_key.h"
#include "support/toy_parameters.h"

namespace sotto::secret {
namespace {

using Bytes = std::vector<unsigned char>;

// Text, then zero bytes up to a size.
Bytes padded(std::string_view text, std::size_t size) {
  Bytes out(text.begin(), text.end());
  out.resize(size);
  return out;
}

Bytes hash(const Bytes& message, const Bytes& key, std::size_t size) {
  Bytes out(size);
  crypto_generichash(out.data(), size, message.data(), message.size(), key.data(), key.size());
  return out;
}

Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Bytes little_endian(std::uint64_t x) {
  Bytes out;
  for (int b = 0; b < 64; b += 8) out.push_back(static_cast<unsigned char>(x >> b));
  return out;
}

Bytes bytes_of(const SecretArray<unsigned char>& a) { return {a.data(), a.data() + a.size()}; }

class KeyFormat : public ::testing::Test {
 protected:
  KeyFormat() {
    SecretArray<unsigned char> array(32);
    for (std::size_t i = 0; i < 32; ++i) array[i] = bytes[i] = static_cast<unsigned char>(i * 37 + 5);
    owner = std::make_unique<OwnerKey>(array);
  }
  Bytes bytes = Bytes(32);
  std::unique_ptr<OwnerKey> owner;
};

TEST_F(KeyFormat, SecretsOfRings) {
  using ckks::SecurityLevel;
  const std::pair<SecurityLevel, unsigned char> levels[] = {
      {SecurityLevel::classical128, 0}, {SecurityLevel::classical192, 1}, {SecurityLevel::quantum128, 2}};
  for (const int log_n : {6, 14})  // the longer one needs more than 4096 bytes, which are taken at a time
    for (const ring::RingKind kind : {ring::RingKind::standard, ring::RingKind::conjugate_invariant})
      for (const auto& [level, number] : levels) {
        const std::uint64_t n = std::uint64_t{1} << log_n, order = kind == ring::RingKind::standard ? 2 * n : 4 * n;
        Bytes label = padded("Sotto ring key", 16) + little_endian(n) + little_endian(order);
        label[15] = number;
        const Bytes seed = hash(label, bytes, 32), nonce = padded("Sotto secret", 24);
        Bytes stream(2 * n);
        crypto_stream_xchacha20(stream.data(), stream.size(), nonce.data(), seed.data());
        std::vector<int> expected;
        for (std::size_t at = 0; expected.size() < n; ++at)
          if (stream[at] != 255) expected.push_back(stream[at] % 3 - 1);

        const auto ring =
            ckks::ToyParameters::make({.log_n = log_n, .kind = kind, .ciphertext_primes = 2, .special_primes = 1})
                .make_ring(simd::select_kernels());
        auto values = owner->secret_of(ring, level).values(1);
        ring->intt(values.data(), values.data(), 1);
        for (std::size_t k = 0; k < n; ++k)
          ASSERT_EQ(values[k], expected[k] < 0 ? ring->prime(1) - 1 : static_cast<std::uint64_t>(expected[k])) << k;
      }
}

TEST_F(KeyFormat, SigningKeyAndIdentity) {
  const Bytes seed = hash(padded("Sotto owner's signing key", 26), bytes, 32);
  EXPECT_EQ(bytes_of(owner->signing_key().seed()), seed);
  unsigned char key[crypto_sign_PUBLICKEYBYTES], pair[crypto_sign_SECRETKEYBYTES];
  crypto_sign_seed_keypair(key, pair, seed.data());
  Bytes id(16);
  const Bytes named = padded("Sotto owner", 11) + Bytes(key, key + sizeof key);
  crypto_generichash(id.data(), id.size(), named.data(), named.size(), nullptr, 0);
  char digits[33];
  EXPECT_EQ(owner->id(), sodium_bin2hex(digits, sizeof digits, id.data(), id.size()));
}

TEST_F(KeyFormat, BytesForOtherPurposes) {
  for (const char* purpose : {"release", "sixteen letters.", ""})
    for (const std::string& what : {std::string("0123 scores 1.5e-3"), std::string(), std::string(1000, 'x')})
      EXPECT_EQ(bytes_of(owner->derive(purpose, what)),
                hash(padded("Sotto derived ", 16) + padded(purpose, 16) + padded(what, what.size()), bytes, 32));
}

}  // namespace
}  // namespace sotto::secret
