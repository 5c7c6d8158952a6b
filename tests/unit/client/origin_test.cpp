// Results are believed if they come from where they must. Over a ring without security; what they hold does not matter.
#include "client/origin.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "support/raw_container.h"
#include "support/toy_parameters.h"

namespace sotto::client {
namespace {

using test::fails_with;

class OriginOfResults : public ::testing::Test {
 protected:
  OriginOfResults() {
    info.input_digest.fill(7);
    info.input_signer = owner.verification_key();
  }

  // Two batches of one ciphertext.
  void write(const std::filesystem::path& to, const signing::SigningKey* signer, unsigned char value = 1) const {
    ckks::CiphertextWriter file(to, wire::Kind::output, *ring, info, false, signer);
    for (std::uint64_t k = 0; k < 2; ++k) {
      ckks::Ciphertext c;
      for (ring::RnsPoly* p : {&c.c0, &c.c1}) {
        p->push_back(ring->limb());
        std::fill_n(p->front().data(), ring->n(), value + k);
      }
      c.scale = info.scale;
      file.write(c);
    }
    file.commit();
  }
  void require(const std::optional<signing::VerificationKey>& promised, const Origin& expected = {}) const {
    require_origin(ckks::CiphertextReader(path, wire::Kind::output), promised, expected);
  }
  ::testing::AssertionResult refused(const std::optional<signing::VerificationKey>& promised, const Origin& expected,
                                     std::initializer_list<std::string_view> words) const {
    return fails_with([&] { require(promised, expected); }, ErrorCode::wrong_key, words);
  }

  const ckks::Parameters parameters = ckks::ToyParameters::make(
      {.log_n = 7, .kind = ring::RingKind::conjugate_invariant, .ciphertext_primes = 1, .special_primes = 1});
  const std::shared_ptr<const ring::Ring> ring = parameters.make_ring(simd::select_kernels());
  const signing::SigningKey server = signing::SigningKey::generate(), other = signing::SigningKey::generate(),
                            owner = signing::SigningKey::generate();
  ckks::CiphertextFileInfo info{std::string(32, 'a'), std::string(32, 'b'), "input", 11, 8, 1, 1, 0x1p30, {}};
  test::TempFolder folder;
  const std::filesystem::path path = folder / "out.sotto";
};

TEST_F(OriginOfResults, WhatTheFileSaysComesBack) {
  write(path, &server);
  const ckks::CiphertextReader file(path, wire::Kind::output);
  EXPECT_EQ(file.signer(), server.verification_key());
  EXPECT_EQ(file.info().input_digest, info.input_digest);
  EXPECT_EQ(file.info().input_signer, info.input_signer);
  info.input_signer = std::nullopt;
  write(path, nullptr);
  EXPECT_EQ(ckks::CiphertextReader(path, wire::Kind::output).info().input_signer, std::nullopt);
  for (const char* member : {"input_digest", "input_signer"}) {
    test::Contents contents(path, wire::Kind::output);
    for (const nlohmann::json& wrong : {nlohmann::json(7), nlohmann::json("x"), nlohmann::json(std::string(64, 'g'))}) {
      contents.header[member] = wrong;
      contents.write(folder / "forged", wire::Kind::output);
      EXPECT_TRUE(test::refuses([&] { ckks::CiphertextReader(folder / "forged", wire::Kind::output); }, {member}));
    }
  }
}

// Who has the public key can give an input of their own any id.
TEST_F(OriginOfResults, AnIdOfAnotherEncryptorIsNotTheOwners) {
  Origin own{.input_id = "input"};
  own.by_owner = true;
  for (const auto& signer : {std::optional<signing::VerificationKey>(), std::optional(other.verification_key())}) {
    info.input_signer = signer;
    write(path, &server);
    EXPECT_TRUE(refused(std::nullopt, own, {"not encrypted by the owner"}));
  }
  info.input_signer = owner.verification_key();
  info.key_id = signing::identity_of(owner.verification_key());
  write(path, &server);
  EXPECT_NO_THROW(require(std::nullopt, own));
}

TEST_F(OriginOfResults, SignedByWhomThePlanPromises) {
  const std::string promised = signing::to_text(server.verification_key());
  write(path, &server);
  EXPECT_NO_THROW(require(server.verification_key()));
  EXPECT_NO_THROW(require(std::nullopt)) << "nobody asks";
  write(path, nullptr);
  EXPECT_TRUE(refused(server.verification_key(), {}, {path.string(), "not signed", promised}));
  EXPECT_NO_THROW(require(std::nullopt));
  write(path, &other);
  EXPECT_TRUE(refused(server.verification_key(), {}, {"signed with", promised}));
  // Both that was promised and that was named.
  EXPECT_TRUE(refused(other.verification_key(), {.signer = server.verification_key()}, {"named", promised}));
  EXPECT_NO_THROW(require(std::nullopt, {.signer = other.verification_key()}));
  write(path, nullptr);
  EXPECT_TRUE(refused(std::nullopt, {.signer = other.verification_key()}, {"not signed"}));
}

TEST_F(OriginOfResults, OfTheInputThatWasMeant) {
  write(path, nullptr);
  wire::Checksum another{};
  EXPECT_NO_THROW(require({}, {.input_id = "input", .input_digest = info.input_digest}));
  EXPECT_TRUE(refused({}, {.input_id = "other"}, {"another input", "input", "other"}));
  EXPECT_TRUE(refused({}, {.input_id = "input", .input_digest = another}, {"another file"}));
  EXPECT_NO_THROW(require({}, {.input_signer = owner.verification_key()}));
  EXPECT_TRUE(refused({}, {.input_signer = other.verification_key()}, {"input is signed with"}));
  info.input_signer = std::nullopt;
  write(path, nullptr);
  EXPECT_TRUE(refused({}, {.input_signer = owner.verification_key()}, {"nobody signed its input"}));
}

// What a signature covers: whoever carries results can move none of their parts.
TEST_F(OriginOfResults, BatchesOfTwoFilesAreNotMixed) {
  write(path, &server);
  write(folder / "other", &server, 100);
  test::Contents mixed(path, wire::Kind::output);
  const test::Contents from(folder / "other", wire::Kind::output);
  const test::Bytes bytes = test::read_bytes(path), signature(bytes.end() - wire::kSignatureBytes, bytes.end());
  const std::string signer = signing::to_text(server.verification_key());
  const auto forged = [&](const test::Contents& contents) {
    contents.write(path, wire::Kind::output, signer, signature);
    return refused(server.verification_key(), {}, {"signature"});
  };
  std::swap(mixed.sections[0], mixed.sections[1]);
  EXPECT_TRUE(forged(mixed)) << "batches in another order";
  std::swap(mixed.sections[0], mixed.sections[1]);
  mixed.sections[1] = from.sections[1];
  EXPECT_TRUE(forged(mixed)) << "a batch of another file";
  mixed.header["images"] = 8;
  mixed.sections.pop_back();
  EXPECT_TRUE(forged(mixed)) << "a batch is missing";
}

}  // namespace
}  // namespace sotto::client
