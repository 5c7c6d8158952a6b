// Files of public keys: what is written comes back, what is damaged or of another ring is refused.
#include "encrypt/public_key_file.h"

#include <gtest/gtest.h>

#include <cstring>

#include "secret/keygen.h"
#include "support/expect_error.h"
#include "support/hostile.h"
#include "support/raw_container.h"
#include "support/toy_parameters.h"

namespace sotto::encrypt {
namespace {

using test::fails_with;
using test::refuses;
using wire::Kind;

constexpr int kLogN = 7;

class PublicKeyFileTest : public ::testing::Test {
 protected:
  PublicKeyFileTest() { write_public_key(path, *ring, spec, key, signing); }

  [[nodiscard]] PublicKey read(const std::filesystem::path& from, int message_limbs) const {
    return PublicKeyFile(from).read(*ring, spec, message_limbs);
  }
  template <class F>
  ::testing::AssertionResult forged_refused(F change, std::initializer_list<std::string_view> words = {}) const {
    test::Contents contents(path, Kind::public_key);
    change(contents);
    contents.write(folder / "forged", Kind::public_key);
    return refuses([&] { PublicKeyFile(folder / "forged"); }, words);
  }

  const ckks::ParametersSpec spec{
      .log_n = kLogN, .kind = ring::RingKind::conjugate_invariant, .ciphertext_primes = 3, .special_primes = 2};
  const ckks::Parameters parameters = ckks::ToyParameters::make(spec);
  const std::shared_ptr<const ring::Ring> ring = parameters.make_ring(simd::select_kernels());
  const secret::OwnerKey owner = secret::OwnerKey::generate();
  const signing::SigningKey signing = owner.signing_key();
  const secret::SecretKey secret = owner.secret_of(ring);
  const PublicKey key = secret::KeyGenerator(parameters.spec().ciphertext_primes, secret).public_key(2);
  test::TempFolder folder;
  const std::filesystem::path path = folder / "public.key";
};

TEST_F(PublicKeyFileTest, TheKeyComesBackAsFarAsItIsNeeded) {
  EXPECT_EQ(PublicKeyFile(path).key_id(), secret.id());
  for (int message_limbs : {1, 2}) {
    const PublicKey back = read(path, message_limbs);
    EXPECT_EQ(back.seed, key.seed);
    ASSERT_EQ(back.limbs(), message_limbs + 1);
    for (std::size_t l = 0; l < back.b.size(); ++l)
      EXPECT_TRUE(std::equal(back.b[l].data(), back.b[l].data() + ring->n(), key.b[l].data())) << l;
  }
}

// Primes of either sort are those of the ring, in order, however many of them a plan has.
TEST_F(PublicKeyFileTest, ServesEveryPlanOfItsRing) {
  ckks::ParametersSpec other = spec;
  other.ciphertext_primes = 1;
  other.special_primes = 4;
  EXPECT_TRUE(PublicKeyFile(path).serves(other, 1));
  const auto others = ckks::ToyParameters::make(other).make_ring(simd::select_kernels());
  EXPECT_NO_THROW((void)PublicKeyFile(path).read(*others, other, 1));
}

TEST_F(PublicKeyFileTest, NoOtherRingAndNoLongerMessages) {
  const auto refused = [&](const ckks::ParametersSpec& other, int limbs) {
    const auto others = ckks::ToyParameters::make(other).make_ring(simd::select_kernels());
    return fails_with([&] { (void)PublicKeyFile(path).read(*others, other, limbs); }, ErrorCode::wrong_key,
                      {path.string(), "this plan"});
  };
  EXPECT_TRUE(refused(spec, 3));
  ckks::ParametersSpec other = spec;
  ++other.log_n;
  EXPECT_TRUE(refused(other, 1));
  other = spec, other.kind = ring::RingKind::standard;
  EXPECT_TRUE(refused(other, 1));
  other = spec, other.prime_bits = 40;
  EXPECT_TRUE(refused(other, 1));
}

TEST_F(PublicKeyFileTest, ResiduesBeyondTheirPrimes) {
  for (std::size_t l = 0; l < 3; ++l)
    for (const std::size_t word : {std::size_t{0}, ring->n() - 1}) {
      test::Contents contents(path, Kind::public_key);
      const std::uint64_t q = ring->prime(public_key_prime(l, spec.ciphertext_primes));
      std::memcpy(contents.sections[l].data() + word * 6, &q, 6);
      contents.signed_by(folder / "forged", Kind::public_key, signing);
      EXPECT_TRUE(refuses([&] { (void)read(folder / "forged", 2); }, {"forged", "out of range"})) << l << " " << word;
    }
}

TEST_F(PublicKeyFileTest, EveryMemberOfTheHeaderIsChecked) {
  for (const char* m : {"key_id", "log_n", "ring", "prime_bits", "limbs", "seed"}) {
    EXPECT_TRUE(forged_refused([&](test::Contents& c) { c.header.erase(m); }, {"forged", m}));
    for (const nlohmann::json& value : {nlohmann::json(), nlohmann::json(-1), nlohmann::json(std::string(65, '0')),
                                        nlohmann::json::array(), nlohmann::json(UINT64_MAX)}) {
      if (m == std::string("ring") && value.is_string()) continue;  // another ring's
      EXPECT_TRUE(forged_refused([&](test::Contents& c) { c.header[m] = value; }, {"forged", m})) << m << value;
    }
  }
  EXPECT_TRUE(forged_refused([](test::Contents& c) { c.sections.pop_back(); }, {"announces"}));
  EXPECT_TRUE(forged_refused([](test::Contents& c) { c.header["limbs"] = 2; }, {"announces"}));
  EXPECT_TRUE(forged_refused([](test::Contents& c) { c.header["log_n"] = 8; }, {"announces"}));
  EXPECT_TRUE(forged_refused([](test::Contents& c) { c.header["prime_bits"] = 40; }, {"announces"}));
}

// Its identity is proven: nobody else's key passes under the name of the owner.
TEST_F(PublicKeyFileTest, KeysThatTheirOwnerDidNotSign) {
  const secret::OwnerKey stranger = secret::OwnerKey::generate();
  const test::Contents contents(path, Kind::public_key);
  const auto refused = [&] {
    return fails_with([&] { PublicKeyFile(folder / "forged"); }, ErrorCode::wrong_key, {"forged", "sign"});
  };
  contents.write(folder / "forged", Kind::public_key);
  EXPECT_TRUE(refused());
  contents.signed_by(folder / "forged", Kind::public_key, stranger.signing_key());
  EXPECT_TRUE(refused());
}

TEST_F(PublicKeyFileTest, CutAndDamagedFiles) {
  test::expect_refused_or_accepted(
      folder / "damaged", test::read_bytes(path), [&] { return read(folder / "damaged", 2); },
      [&](const PublicKey& k) { ASSERT_EQ(k.seed, key.seed); }, 300);
}

}  // namespace
}  // namespace sotto::encrypt
