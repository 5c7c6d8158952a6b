// Encryption by someone who has a public key only: right, fresh, and as noisy as predicted.
#include "encrypt/public_key.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ckks/encoder.h"
#include "plan/noise.h"
#include "secret/crypt.h"
#include "support/expect_error.h"
#include "support/toy_parameters.h"
#include "support/values.h"

namespace sotto::encrypt {
namespace {

constexpr int kLogN = 11, kPrimes = 3;
constexpr double kScale = 0x1p30;

class PublicKeyTest : public ::testing::TestWithParam<ring::RingKind> {
 protected:
  [[nodiscard]] ckks::Plaintext message(const std::vector<double>& slots, int limbs) const {
    std::vector<std::complex<double>> z(slots.begin(), slots.end());
    z.resize(encoder.slots());
    return ckks::encode(*ring, encoder.embed_inverse(std::span<const std::complex<double>>(z)), kScale, limbs);
  }
  // Errors of the slots.
  [[nodiscard]] std::vector<double> errors(const ckks::Ciphertext& c, const std::vector<double>& slots) const {
    const auto z = encoder.embed(secret::decrypt(key, c));
    std::vector<double> e;
    for (std::size_t k = 0; k < slots.size(); ++k) e.push_back(z[k].real() - slots[k] * kScale);
    return e;
  }

  const ckks::ParametersSpec spec{
      .log_n = kLogN, .kind = GetParam(), .ciphertext_primes = kPrimes, .special_primes = 1};
  const ckks::Parameters parameters = ckks::ToyParameters::make(spec);
  const std::shared_ptr<const ring::Ring> ring = parameters.make_ring(simd::select_kernels());
  const secret::SecretKey key = secret::SecretKey::generate(ring);
  const secret::KeyGenerator generator{parameters.spec().ciphertext_primes, key};
  const ckks::Encoder encoder{kLogN, GetParam()};
};

TEST_P(PublicKeyTest, EncryptsAtEveryLevelThatItIsLongEnoughFor) {
  for (int most : {1, kPrimes}) {
    const PublicEncryption encryption(parameters, ring, generator.public_key(most));
    for (int limbs = 1; limbs <= most; ++limbs) {
      const auto slots = test::random_values(encoder.slots(), 7, 1);
      const ckks::Ciphertext c = encryption.encrypt(message(slots, limbs));
      EXPECT_EQ(c.limbs(), limbs);
      EXPECT_EQ(c.scale, kScale);
      // A slot's error is a product: of what rounding leaves there, and of the secret's value there.
      for (double e : errors(c, slots)) ASSERT_LT(std::abs(e), 40 * plan::NoiseModel::rounding(kLogN));
    }
    const auto slots = test::random_values(encoder.slots(), 7, 1);
    if (most == kPrimes) continue;
    EXPECT_TRUE(test::fails_with([&] { (void)encryption.encrypt(message(slots, most + 1)); }, ErrorCode::internal));
  }
}

TEST_P(PublicKeyTest, RenewsCiphertexts) {
  const PublicEncryption encryption(parameters, ring, generator.public_key(2));
  const auto slots = test::random_values(encoder.slots(), 9, 1);
  const ckks::Ciphertext c = ckks::expand(*ring, secret::encrypt_symmetric(key, message(slots, 2), {}, 0));
  const ckks::Ciphertext a = encryption.renew(c), b = encryption.renew(c);
  EXPECT_EQ(a.scale, kScale);
  for (const ckks::Ciphertext* renewed : {&a, &b})
    for (double e : errors(*renewed, slots)) ASSERT_LT(std::abs(e), 40 * plan::NoiseModel::rounding(kLogN));
  // No word of c1 stays where it was but by chance, nor do two renewals agree.
  const auto same = [&](const ckks::Ciphertext& x, const ckks::Ciphertext& y) {
    std::size_t count = 0;
    for (std::size_t l = 0; l < 2; ++l)
      for (std::size_t i = 0; i < ring->n(); ++i) count += x.c1[l].data()[i] == y.c1[l].data()[i];
    return count;
  };
  EXPECT_LT(same(a, c), 4u);
  EXPECT_LT(same(a, b), 4u);
}

// The division leaves its rounding and nothing of the products of small polynomials, which are 16 times as large.
TEST_P(PublicKeyTest, ErrsAsMuchAsADivision) {
  const PublicEncryption encryption(parameters, ring, generator.public_key(2));
  const auto slots = test::random_values(encoder.slots(), 8, 1);
  double squares = 0, count = 0;
  for (int k = 0; k < 8; ++k)
    for (double e : errors(encryption.encrypt(message(slots, 2)), slots)) squares += e * e, ++count;
  // A complex slot's real part has half its variance, and a ring of degree n half that of one of rank n and degree 2n.
  const double wanted =
      plan::NoiseModel::rounding(kLogN) * (GetParam() == ring::RingKind::standard ? std::sqrt(0.125) : 1);
  EXPECT_NEAR(std::sqrt(squares / count) / wanted, 1, 0.1);
}

TEST_P(PublicKeyTest, EveryEncryptionAndEveryKeyIsFresh) {
  const PublicKey one = generator.public_key(1), other = generator.public_key(1);
  EXPECT_NE(one.seed, other.seed);
  const PublicEncryption encryption(parameters, ring, generator.public_key(1));
  const auto m = message(test::random_values(encoder.slots(), 9, 1), 1);
  const ckks::Ciphertext a = encryption.encrypt(m), b = encryption.encrypt(m);
  std::size_t equal = 0;
  for (std::size_t k = 0; k < ring->n(); ++k)
    equal += (a.c0[0].data()[k] == b.c0[0].data()[k]) + (a.c1[0].data()[k] == b.c1[0].data()[k]);
  EXPECT_EQ(equal, 0u);
}

TEST_P(PublicKeyTest, AnotherSecretDoesNotDecrypt) {
  const PublicEncryption encryption(parameters, ring, generator.public_key(2));
  const auto m = message(test::random_values(encoder.slots(), 9, 1), 2);
  EXPECT_FALSE(secret::try_decrypt(secret::SecretKey::generate(ring), encryption.encrypt(m)));
}

INSTANTIATE_TEST_SUITE_P(Rings, PublicKeyTest,
                         ::testing::Values(ring::RingKind::conjugate_invariant, ring::RingKind::standard),
                         [](const auto& kind) {
                           return kind.param == ring::RingKind::standard ? "standard" : "conjugate_invariant";
                         });

}  // namespace
}  // namespace sotto::encrypt
