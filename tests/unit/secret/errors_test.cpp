// What is published hides its secret behind errors: recovered here with the secret, by the definition and word by word,
// they are small, fresh, and of the width that the security table takes for granted.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "ckks/encoder.h"
#include "ckks/key_file.h"
#include "ckks/sampler.h"
#include "ring/primes.h"
#include "secret/crypt.h"
#include "secret/keygen.h"
#include "support/expect_error.h"
#include "support/toy_parameters.h"

namespace sotto::secret {
namespace {

using u64 = std::uint64_t;
using Words = std::vector<u64>;
using Errors = std::vector<std::int64_t>;

constexpr int kLogN = 10, kPrimes = 3, kSpecial = 2;
constexpr std::size_t kSize = std::size_t{1} << kLogN;

class ErrorsTest : public ::testing::Test {
 protected:
  // Coefficients of the secret, as small integers.
  [[nodiscard]] Errors secret() const {
    const auto values = key.values(0);
    return coefficients(Words(values.data(), values.data() + kSize), 0);
  }
  // X to X^g.
  static Errors moved(const Errors& a, u64 g) {
    Errors out(kSize);
    for (std::size_t k = 0; k < kSize; ++k) {
      const u64 to = k * g % (2 * kSize);
      out[to % kSize] = to < kSize ? a[k] : -a[k];
    }
    return out;
  }
  // Product of two polynomials of small integers, which stays small.
  static Errors product(const Errors& a, const Errors& b) {
    Errors out(kSize);
    for (std::size_t i = 0; i < kSize; ++i)
      for (std::size_t j = 0; j < kSize; ++j)
        if (i + j < kSize)
          out[i + j] += a[i] * b[j];
        else
          out[i + j - kSize] -= a[i] * b[j];
    return out;
  }
  [[nodiscard]] Words values(const Errors& a, std::size_t i) const {
    ring::Limb x = ring->limb();
    const auto q = static_cast<std::int64_t>(ring->prime(i));
    for (std::size_t k = 0; k < kSize; ++k) x.data()[k] = static_cast<u64>((a[k] % q + q) % q);
    ring->ntt(x.data(), i);
    return {x.data(), x.data() + kSize};
  }
  [[nodiscard]] Errors coefficients(const Words& values, std::size_t i) const {
    ring::Limb x = ring->limb();
    std::copy(values.begin(), values.end(), x.data());
    ring->intt(x.data(), x.data(), i);
    Errors out(kSize);
    for (std::size_t k = 0; k < kSize; ++k) {
      const u64 q = ring->prime(i), w = x.data()[k];
      out[k] = w > q / 2 ? -static_cast<std::int64_t>(q - w) : static_cast<std::int64_t>(w);
    }
    return out;
  }
  // b + a held - factor hidden modulo prime i, with a the stream of a seed.
  [[nodiscard]] Errors errors(const u64* b, const ckks::Seed& seed, u64 stream, std::size_t i, const Words& held,
                              const Words& hidden, u64 factor) const {
    const u64 q = ring->prime(i);
    Words a(kSize), e(kSize);
    ckks::expand_uniform(*ring, seed, stream, i, a.data());
    for (std::size_t k = 0; k < kSize; ++k)
      e[k] = (b[k] + ring::mul_mod(a[k], held[k], q) + q - ring::mul_mod(hidden[k], factor % q, q)) % q;
    return coefficients(e, i);
  }
  // Within eight deviations of what a rounded Gaussian of deviation 3.19 gives.
  static void expect_rounded_gaussian(const std::vector<Errors>& all) {
    double count = 0, sum = 0, squares = 0;
    for (const Errors& e : all)
      for (const std::int64_t x : e) {
        ASSERT_LE(std::abs(x), 40);
        ++count;
        sum += static_cast<double>(x);
        squares += static_cast<double>(x * x);
      }
    constexpr double kVariance = 3.19 * 3.19 + 1.0 / 12;
    EXPECT_NEAR(sum / count, 0, 8 * std::sqrt(kVariance / count));
    EXPECT_NEAR(squares / count, kVariance, 8 * kVariance * std::sqrt(2 / count));
    for (std::size_t i = 0; i < all.size(); ++i)
      for (std::size_t j = 0; j < i; ++j) {
        double together = 0;
        for (std::size_t k = 0; k < kSize; ++k) together += static_cast<double>(all[i][k] * all[j][k]);
        EXPECT_LT(std::abs(together), 8 * kVariance * std::sqrt(static_cast<double>(kSize)))
            << "one does not tell another";
      }
  }

  const ckks::Parameters parameters = ckks::ToyParameters::make(
      {.log_n = kLogN, .kind = ring::RingKind::standard, .ciphertext_primes = kPrimes, .special_primes = kSpecial});
  const std::shared_ptr<const ring::Ring> ring = parameters.make_ring(simd::select_kernels());
  const SecretKey key = SecretKey::generate(ring);
};

TEST_F(ErrorsTest, OfCiphertexts) {
  Errors m(kSize);
  for (std::size_t k = 0; k < kSize; ++k) m[k] = static_cast<std::int64_t>(k * 1000) - 7;
  std::vector<double> message(m.begin(), m.end());
  const ckks::Seed seed = ckks::random_seed();
  std::vector<Errors> all;
  for (u64 stream : {0, 0, 5}) {  // the error is new even where the uniform part is not
    const auto c = encrypt_symmetric(key, ckks::encode(*ring, message, 1, kPrimes), seed, stream);
    for (std::size_t l = 0; l < kPrimes; ++l) {
      const Errors e = errors(c.c0[l].data(), seed, stream, l, values(secret(), l), values(m, l), 1);
      if (l == 0) all.push_back(e);
      EXPECT_EQ(e, all.back()) << "one integer, whatever the prime";
    }
  }
  expect_rounded_gaussian(all);
}

TEST_F(ErrorsTest, OfPublicKeys) {
  const KeyGenerator generator(kPrimes, key);
  std::vector<Errors> all;
  for (int k = 0; k < 3; ++k) {
    const encrypt::PublicKey made = generator.public_key(kPrimes);
    ASSERT_EQ(made.limbs(), kPrimes + 1);
    for (std::size_t l = 0; l < made.b.size(); ++l) {
      const std::size_t i = l == 0 ? kPrimes : l - 1;  // the first special prime, then the ciphertext's
      const Errors e = errors(made.b[l].data(), made.seed, 0, i, values(secret(), i), Words(kSize), 0);
      if (l == 0) all.push_back(e);
      EXPECT_EQ(e, all.back());
    }
  }
  expect_rounded_gaussian(all);
}

// Every digit encrypts P times what it hides modulo its own primes, and zero modulo all others.
TEST_F(ErrorsTest, OfSwitchingKeys) {
  const KeyGenerator generator(kPrimes, key);
  const Errors s = secret();
  const u64 order = ring->cyclotomic_order();
  std::vector<Errors> all;
  for (const u64 g :
       {ckks::kRelinearise, ring->rotation_galois_element(1), ring->rotation_galois_element(-7), order - 1}) {
    for (const ckks::KeyTier tier : {ckks::KeyTier{kPrimes, kSpecial}, ckks::KeyTier{kPrimes - 1, 1}}) {
      u64 inverse = 1;
      while (g != ckks::kRelinearise && inverse * g % order != 1) inverse += 2;
      const Errors held = moved(s, inverse), hidden = g == ckks::kRelinearise ? product(s, s) : s;
      const ckks::SeededSwitchingKey made = generator.switching_key({tier, g});
      ASSERT_EQ(made.b.size(), static_cast<std::size_t>(tier.digits()));
      for (std::size_t d = 0; d < made.b.size(); ++d) {
        ASSERT_EQ(made.b[d].size(), static_cast<std::size_t>(tier.max_limbs + tier.special));
        for (int j = 0; j < tier.max_limbs + tier.special; ++j) {
          const bool own = j < tier.max_limbs && static_cast<std::size_t>(j / tier.digit_limbs()) == d;
          const auto i = static_cast<std::size_t>(j < tier.max_limbs ? j : kPrimes + j - tier.max_limbs);
          u64 factor = own ? 1 : 0;
          for (int t = 0; t < tier.special; ++t)
            factor = ring::mul_mod(factor, ring->prime(static_cast<std::size_t>(kPrimes + t)) % ring->prime(i),
                                   ring->prime(i));
          const Errors e = errors(made.b[d][static_cast<std::size_t>(j)].data(), made.seed, d, i, values(held, i),
                                  values(hidden, i), factor);
          if (j == 0) all.push_back(e);
          EXPECT_EQ(e, all.back()) << "digit " << d << " limb " << j;
        }
      }
    }
  }
  expect_rounded_gaussian(all);
}

// The ephemeral secret is safe under two primes and no more.
TEST_F(ErrorsTest, KeysToTheEphemeralSecretAreOfItsTierOnly) {
  const KeyGenerator generator(kPrimes, key);
  const auto refused = [&](const ckks::KeyTier& tier, u64 g) {
    return test::fails_with([&] { (void)generator.switching_key({tier, g}); }, ErrorCode::internal, {"ephemeral"});
  };
  EXPECT_NO_THROW((void)generator.switching_key({{1, 1, true}, ckks::kToEphemeral}));
  EXPECT_NO_THROW((void)generator.switching_key({{kPrimes, kSpecial}, ckks::kFromEphemeral}));
  EXPECT_TRUE(refused({1, 1}, ckks::kToEphemeral));
  EXPECT_TRUE(refused({kPrimes, kSpecial}, ckks::kToEphemeral));
  EXPECT_TRUE(refused({2, 1, true}, ckks::kToEphemeral));
  EXPECT_TRUE(refused({1, 2, true}, ckks::kToEphemeral));
  for (const u64 g : {ckks::kRelinearise, ckks::kFromEphemeral, u64{5}}) EXPECT_TRUE(refused({1, 1, true}, g)) << g;
}

}  // namespace
}  // namespace sotto::secret
