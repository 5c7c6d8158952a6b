// Whose inputs a server computes on, and what it must sign with.
#include "engine/signatures.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "support/raw_container.h"
#include "support/toy_parameters.h"

namespace sotto::engine {
namespace {

using test::fails_with;

class Signatures : public ::testing::Test {
 protected:
  void write(const std::optional<ckks::Seed>& seed, const signing::SigningKey* signer) {
    const ckks::CiphertextFileInfo info{
        std::string(32, 'a'), signing::identity_of(owner.verification_key()), "input", 1, 8, 1, 1, 0x1p30, seed};
    ckks::CiphertextWriter file(path, wire::Kind::input, *ring, info, false, signer);
    ckks::SeededCiphertext c;
    c.c0.push_back(ring->limb());
    std::fill_n(c.c0.front().data(), ring->n(), 5);
    if (seed) {
      file.write(c);
    } else {
      ckks::Ciphertext both;
      both.c0 = std::move(c.c0);
      both.c1.push_back(ring->limb());
      std::fill_n(both.c1.front().data(), ring->n(), 6);
      file.write(both);
    }
    file.commit();
  }
  ::testing::AssertionResult refused(bool owners_only, std::initializer_list<std::string_view> words) const {
    return fails_with([&] { require_owner(ckks::CiphertextReader(path, wire::Kind::input), owners_only); },
                      ErrorCode::wrong_key, words);
  }
  void accept(bool owners_only) const { require_owner(ckks::CiphertextReader(path, wire::Kind::input), owners_only); }

  const ckks::Parameters parameters = ckks::ToyParameters::make(
      {.log_n = 7, .kind = ring::RingKind::conjugate_invariant, .ciphertext_primes = 1, .special_primes = 1});
  const std::shared_ptr<const ring::Ring> ring = parameters.make_ring(simd::select_kernels());
  const signing::SigningKey owner = signing::SigningKey::generate(), other = signing::SigningKey::generate();
  test::TempFolder folder;
  const std::filesystem::path path = folder / "in.sotto";
};

TEST_F(Signatures, WhatOwnersEncryptIsTheirs) {
  const ckks::Seed seed = ckks::random_seed();
  for (const bool owners_only : {false, true}) {
    write(seed, &owner);
    EXPECT_NO_THROW(accept(owners_only));
    write(seed, nullptr);
    EXPECT_TRUE(refused(owners_only, {path.string(), "did not sign"}));
    write(seed, &other);
    EXPECT_TRUE(refused(owners_only, {path.string(), "did not sign"}));
  }
  // A changed part with right checksums, under the signature that was.
  write(seed, &owner);
  test::Contents contents(path, wire::Kind::input);
  const test::Bytes bytes = test::read_bytes(path);
  contents.sections[0][0] ^= 1;
  contents.write(path, wire::Kind::input, signing::to_text(owner.verification_key()),
                 {bytes.end() - wire::kSignatureBytes, bytes.end()});
  EXPECT_TRUE(refused(false, {"signature"}));
}

TEST_F(Signatures, WhatOthersEncryptWithThePublicKey) {
  for (const signing::SigningKey* signer : {static_cast<const signing::SigningKey*>(nullptr), &other}) {
    write(std::nullopt, signer);
    EXPECT_NO_THROW(accept(false));
    EXPECT_TRUE(refused(true, {path.string(), "someone else"}));
  }
  write(std::nullopt, &owner);
  EXPECT_NO_THROW(accept(true));
}

TEST(SigningKeys, PlansThatPromiseSignatures) {
  const signing::SigningKey key = signing::SigningKey::generate(), other = signing::SigningKey::generate();
  const std::string digits = signing::to_text(key.verification_key());
  EXPECT_NO_THROW(require_signing_key(std::nullopt, nullptr));
  EXPECT_NO_THROW(require_signing_key(std::nullopt, &other));
  EXPECT_NO_THROW(require_signing_key(key.verification_key(), &key));
  EXPECT_TRUE(fails_with([&] { require_signing_key(key.verification_key(), nullptr); }, ErrorCode::usage, {digits}));
  EXPECT_TRUE(fails_with([&] { require_signing_key(key.verification_key(), &other); }, ErrorCode::wrong_key, {digits}));
}

}  // namespace
}  // namespace sotto::engine
