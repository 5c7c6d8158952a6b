// Every homomorphic operation against the same operation on the slots, over both rings and several key tiers.
#include "ckks/evaluator.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "base/error.h"
#include "ckks/encoder.h"
#include "secret/crypt.h"
#include "support/expect_error.h"
#include "support/toy_parameters.h"

namespace sotto::ckks {
namespace {

using Complex = std::complex<double>;

struct Setup {
  ring::RingKind kind;
  int special;
};

class EvaluatorTest : public ::testing::TestWithParam<Setup> {
 protected:
  static constexpr int kLogN = 10, kPrimes = 6;

  EvaluatorTest()
      : parameters(ToyParameters::make({.log_n = kLogN,
                                        .kind = GetParam().kind,
                                        .ciphertext_primes = kPrimes,
                                        .special_primes = GetParam().special})),
        ring(parameters.make_ring(simd::select_kernels())),
        encoder(kLogN, GetParam().kind),
        key(secret::SecretKey::generate(ring)),
        tiers{{kPrimes, GetParam().special}, {2, 1}},
        evaluator(parameters, ring, tiers, &keys) {
    for (std::uint64_t g : {std::uint64_t{0}, ring->rotation_galois_element(1), ring->rotation_galois_element(-3),
                            ring->rotation_galois_element(8)})
      add_key(g);
    if (!ring->conjugate_invariant()) add_key(ring->cyclotomic_order() - 1);
  }

  void add_key(std::uint64_t galois_element) {
    const secret::KeyGenerator generator(kPrimes, key);
    for (int t = 0; t < 2; ++t) {
      ckks::SeededSwitchingKey seeded = generator.switching_key({tiers[t], galois_element});
      keys.keys.emplace(KeyId{t, galois_element}, expand(*ring, kPrimes, std::move(seeded)));
    }
  }

  std::vector<Complex> random_slots(unsigned seed) const {
    std::mt19937_64 rng(seed);
    std::uniform_real_distribution<double> uniform(-1, 1);
    std::vector<Complex> v(encoder.slots());
    for (auto& z : v) z = {uniform(rng), ring->conjugate_invariant() ? 0.0 : uniform(rng)};
    return v;
  }

  Plaintext plain(const std::vector<Complex>& v, double scale, int limbs) const {
    return encode(*ring, encoder.embed_inverse(std::span<const Complex>(v)), scale, limbs);
  }

  Ciphertext encrypt(const std::vector<Complex>& v, double scale, int limbs = kPrimes) const {
    return ckks::expand(*ring, secret::encrypt_symmetric(key, plain(v, scale, limbs), random_seed(), 0));
  }

  std::vector<Complex> decrypt(const Ciphertext& c) const {
    auto v = encoder.embed(secret::decrypt(key, c));
    for (auto& z : v) z /= c.scale;
    return v;
  }

  static void expect_near(const std::vector<Complex>& a, const std::vector<Complex>& b, double tolerance) {
    ASSERT_EQ(a.size(), b.size());
    double worst = 0;
    for (std::size_t j = 0; j < a.size(); ++j) worst = std::max(worst, std::abs(a[j] - b[j]));
    EXPECT_LT(worst, tolerance);
  }

  Parameters parameters;
  std::shared_ptr<const ring::Ring> ring;
  Encoder encoder;
  secret::SecretKey key;
  std::vector<KeyTier> tiers;
  KeyMap keys;
  Evaluator evaluator;
};

constexpr double kScale = 0x1p40;

TEST_P(EvaluatorTest, SymmetricAndPublicEncryptionDecrypt) {
  const auto v = random_slots(1);
  expect_near(decrypt(encrypt(v, kScale)), v, 1e-8);
  for (int limbs : {1, kPrimes}) {
    const encrypt::PublicEncryption by_others(parameters, ring, secret::KeyGenerator(kPrimes, key).public_key(kPrimes));
    expect_near(decrypt(by_others.encrypt(plain(v, kScale, limbs))), v, 1e-7);
  }
}

TEST_P(EvaluatorTest, AnotherKeyDoesNotDecrypt) {
  const Ciphertext c = encrypt(random_slots(1), kScale);
  const secret::SecretKey other = secret::SecretKey::generate(ring);
  EXPECT_NE(other.id(), key.id());
  EXPECT_THROW(secret::decrypt(other, c), Error);
}

TEST_P(EvaluatorTest, LinearOperations) {
  const auto a = random_slots(1), b = random_slots(2);
  std::vector<Complex> sum(a.size()), product(a.size()), difference(a.size()), scaled(a.size());
  for (std::size_t j = 0; j < a.size(); ++j) {
    sum[j] = a[j] + b[j];
    difference[j] = a[j] - b[j];
    product[j] = a[j] * b[j];
    scaled[j] = a[j] * -0.625;
  }
  const Ciphertext ca = encrypt(a, kScale), cb = encrypt(b, kScale);
  expect_near(decrypt(evaluator.add(ca, cb)), sum, 1e-8);
  expect_near(decrypt(evaluator.sub(ca, cb)), difference, 1e-8);
  expect_near(decrypt(evaluator.add_plain(ca, plain(b, kScale, kPrimes))), sum, 1e-8);
  expect_near(decrypt(evaluator.multiply_plain(ca, plain(b, kScale, kPrimes))), product, 1e-7);
  expect_near(decrypt(evaluator.multiply_scalar(ca, -0.625, 16)), scaled, 1e-8);
  expect_near(decrypt(evaluator.drop_to(ca, 2)), a, 1e-8);
}

TEST_P(EvaluatorTest, ProductsAtEveryLevel) {
  const auto a = random_slots(3), b = random_slots(4);
  std::vector<Complex> product(a.size()), square(a.size());
  for (std::size_t j = 0; j < a.size(); ++j) {
    product[j] = a[j] * b[j];
    square[j] = a[j] * a[j];
  }
  for (int limbs = 2; limbs <= kPrimes; ++limbs) {
    const Ciphertext p = evaluator.multiply(encrypt(a, kScale, limbs), encrypt(b, kScale, limbs));
    EXPECT_EQ(p.limbs(), limbs - 1);
    EXPECT_NEAR(std::log2(p.scale), 32.0, 1e-3);
    expect_near(decrypt(p), product, 3e-6);
    expect_near(decrypt(evaluator.square(encrypt(a, kScale, limbs))), square, 3e-6);
  }
}

TEST_P(EvaluatorTest, RescaleKeepsTheMessage) {
  const auto a = random_slots(5);
  const Ciphertext c = evaluator.rescale(evaluator.multiply_scalar(encrypt(a, kScale), 1.0, 0x1p46));
  EXPECT_EQ(c.limbs(), kPrimes - 1);
  expect_near(decrypt(c), a, 1e-7);
}

TEST_P(EvaluatorTest, RotationsAndTheirSums) {
  const auto a = random_slots(6);
  const std::size_t n = a.size();
  auto rotated = [&](std::int64_t s) {
    std::vector<Complex> r(n);
    for (std::size_t j = 0; j < n; ++j)
      r[j] = a[(j + n + static_cast<std::size_t>(s + static_cast<std::int64_t>(n))) % n];
    return r;
  };
  for (int limbs : {1, 2, 3, kPrimes}) {
    const Ciphertext c = encrypt(a, kScale, limbs);
    const std::int64_t steps[] = {1, -3, 0, 8};
    const auto many = evaluator.rotate_many(c, steps);
    for (std::size_t k = 0; k < 4; ++k) expect_near(decrypt(many[k]), rotated(steps[k]), 1e-6);
    const std::int64_t summed[] = {1, -3, 8};
    std::vector<Complex> sum = a;
    for (std::int64_t s : summed) {
      const auto r = rotated(s);
      for (std::size_t j = 0; j < n; ++j) sum[j] += r[j];
    }
    expect_near(decrypt(evaluator.rotate_sum(c, summed)), sum, 1e-6);
  }
}

// One division for the sum of rotations of several ciphertexts, some of which stay where they are.
TEST_P(EvaluatorTest, RotationsOfSeveralCiphertextsJoin) {
  const std::vector<std::int64_t> steps = {1, -3, 0, 8, 1};
  std::vector<PackedCiphertext> packed;
  std::vector<const PackedCiphertext*> list;
  std::vector<Complex> sum(encoder.slots());
  for (std::size_t k = 0; k < steps.size(); ++k) {
    const auto a = random_slots(20 + static_cast<unsigned>(k));
    packed.push_back(pack(*ring, encrypt(a, kScale)));
    const auto n = static_cast<std::int64_t>(a.size());
    for (std::int64_t j = 0; j < n; ++j)
      sum[static_cast<std::size_t>(j)] += a[static_cast<std::size_t>((j + n + steps[k]) % n)];
  }
  for (const PackedCiphertext& c : packed) list.push_back(&c);
  for (int limbs : {1, 2, kPrimes}) {
    const Ciphertext joined = evaluator.rotate_join(list, steps, limbs);
    EXPECT_EQ(joined.limbs(), limbs);
    EXPECT_EQ(joined.scale, kScale);
    expect_near(decrypt(joined), sum, 1e-6);
  }
}

TEST_P(EvaluatorTest, ConjugationInTheStandardRingOnly) {
  const auto a = random_slots(7);
  if (ring->conjugate_invariant()) {
    EXPECT_THROW((void)evaluator.conjugate(encrypt(a, kScale)), Error);
    return;
  }
  std::vector<Complex> conjugate(a.size());
  for (std::size_t j = 0; j < a.size(); ++j) conjugate[j] = std::conj(a[j]);
  expect_near(decrypt(evaluator.conjugate(encrypt(a, kScale))), conjugate, 1e-7);
}

TEST_P(EvaluatorTest, MismatchesAreErrors) {
  const auto a = random_slots(8);
  EXPECT_THROW((void)evaluator.add(encrypt(a, kScale), encrypt(a, kScale, 3)), Error);
  EXPECT_THROW((void)evaluator.add(encrypt(a, kScale), encrypt(a, kScale * 2)), Error);
  EXPECT_THROW((void)evaluator.rescale(encrypt(a, kScale, 1)), Error);
  EXPECT_THROW((void)evaluator.rotate(encrypt(a, kScale), 17), Error);  // no such key
}

TEST_P(EvaluatorTest, PackedCiphertextsComeBackWithFewerLimbsToo) {
  const Ciphertext c = encrypt(random_slots(9), kScale);
  const PackedCiphertext packed = pack(*ring, evaluator.drop_to(c, kPrimes));
  EXPECT_EQ(packed.limbs(), kPrimes);
  for (int limbs = 1; limbs <= kPrimes; ++limbs) {
    const Ciphertext back = unpack(*ring, packed, limbs);
    ASSERT_EQ(back.limbs(), limbs);
    EXPECT_EQ(back.scale, c.scale);
    for (std::size_t l = 0; l < back.c0.size(); ++l) {
      EXPECT_TRUE(std::equal(c.c0[l].data(), c.c0[l].data() + ring->n(), back.c0[l].data())) << l;
      EXPECT_TRUE(std::equal(c.c1[l].data(), c.c1[l].data() + ring->n(), back.c1[l].data())) << l;
    }
  }
  EXPECT_THROW((void)unpack(*ring, packed, 0), Error);
  EXPECT_THROW((void)unpack(*ring, packed, kPrimes + 1), Error);
}

INSTANTIATE_TEST_SUITE_P(Rings, EvaluatorTest,
                         ::testing::Values(Setup{ring::RingKind::conjugate_invariant, 3},
                                           Setup{ring::RingKind::standard, 3},
                                           Setup{ring::RingKind::conjugate_invariant, 4},
                                           Setup{ring::RingKind::conjugate_invariant, 6}));

// Nine digits, of which kernels have room for eight.
TEST(Evaluator, RefusesKeysOfTooManyDigits) {
  constexpr int kMany = 9;
  const Parameters parameters = ToyParameters::make({.log_n = 6, .ciphertext_primes = kMany, .special_primes = 1});
  const auto ring = parameters.make_ring(simd::select_kernels());
  const secret::SecretKey key = secret::SecretKey::generate(ring);
  const std::uint64_t g = ring->rotation_galois_element(1);
  KeyMap keys;
  const KeyTier tier{kMany, 1};
  keys.keys.emplace(KeyId{0, g}, expand(*ring, kMany, secret::KeyGenerator(kMany, key).switching_key({tier, g})));
  const Evaluator evaluator(parameters, ring, {tier}, &keys);
  const Plaintext zero = encode(*ring, std::vector<double>(ring->n()), kScale, kMany);
  const Ciphertext c = expand(*ring, secret::encrypt_symmetric(key, zero, random_seed(), 0));
  EXPECT_TRUE(test::fails_with([&] { (void)evaluator.rotate(c, 1); }, ErrorCode::internal, {"digits"}));
  EXPECT_NO_THROW((void)evaluator.rotate(evaluator.drop_to(c, kMany - 1), 1));
}

}  // namespace
}  // namespace sotto::ckks
