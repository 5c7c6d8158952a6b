// Bootstrapping on toy rings: every part against the same map in the clear, then the whole.
#include "bootstrap/bootstrapper.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "ckks/chebyshev.h"
#include "secret/crypt.h"
#include "secret/keygen.h"
#include "support/toy_parameters.h"
#include "support/values.h"

namespace sotto::bootstrap {
namespace {

constexpr int kLogN = 9, kPrimes = 18, kSpecial = 4;

class BootstrapperTest : public ::testing::Test {
 protected:
  BootstrapperTest()
      : parameters(
            ckks::ToyParameters::make({.log_n = kLogN, .ciphertext_primes = kPrimes, .special_primes = kSpecial})),
        ring(parameters.make_ring(simd::select_kernels())),
        encoder(kLogN, ring->kind()),
        key(secret::SecretKey::generate(ring)),
        tiers{{kPrimes, kSpecial}, {1, 1, true}},
        evaluator(parameters, ring, tiers, &keys) {}

  void add_keys(const BootstrapSpec& spec) {
    const secret::KeyGenerator generator(kPrimes, key);
    for (const auto& [s, times] : required_switches(spec, kLogN)) {
      const ckks::KeyId id{s.galois_element == ckks::kToEphemeral ? 1 : 0, s.galois_element};
      const ckks::KeyTier& tier = tiers[static_cast<std::size_t>(id.tier)];
      if (keys.keys.contains(id)) continue;
      keys.keys.emplace(id, ckks::expand(*ring, kPrimes, generator.switching_key({tier, id.galois_element})));
    }
  }

  ckks::Ciphertext encrypt(const std::vector<double>& values, double scale, int limbs) const {
    const ckks::Plaintext p = ckks::encode(*ring, encoder.embed_inverse(std::span<const double>(values)), scale, limbs);
    return ckks::expand(*ring, secret::encrypt_symmetric(key, p, ckks::random_seed(), 0));
  }
  std::vector<double> decrypt(const ckks::Ciphertext& c) const {
    std::vector<double> out;
    for (const auto& z : encoder.embed(secret::decrypt(key, c))) out.push_back(z.real() / c.scale);
    return out;
  }

  ckks::Parameters parameters;
  std::shared_ptr<const ring::Ring> ring;
  ckks::Encoder encoder;
  secret::SecretKey key;
  std::vector<ckks::KeyTier> tiers;
  ckks::KeyMap keys;
  ckks::Evaluator evaluator;
};

TEST_F(BootstrapperTest, ChebyshevSeriesAreEvaluatedAtTheWantedScaleAndLevel) {
  const secret::KeyGenerator generator(kPrimes, key);
  keys.keys.emplace(ckks::KeyId{0, ckks::kRelinearise},
                    ckks::expand(*ring, kPrimes, generator.switching_key({tiers[0], ckks::kRelinearise})));
  const std::vector<double> x = test::random_values(ring->n(), 3, 1);
  const ckks::Ciphertext c = encrypt(x, static_cast<double>(ring->prime(kPrimes - 1)), kPrimes);
  std::vector<std::vector<double>> all;
  for (int degree : {1, 2, 3, 4, 7, 12, 15, 27, 31, 63, 100, 127})
    all.push_back(ckks::chebyshev_fit([](double t) { return std::exp(t) * std::sin(3 * t); }, degree));
  // Odd and even ones, slowly falling coefficients and gaps take other steps.
  for (int degree : {5, 9, 27, 31, 62, 126}) {
    std::vector<double> parity(static_cast<std::size_t>(degree) + 1);
    for (int k = degree; k >= 0; k -= 2) parity[static_cast<std::size_t>(k)] = (k % 4 == 0 ? 1.0 : -1.0) / (k + 2);
    all.push_back(parity);
    parity[static_cast<std::size_t>(degree / 2)] = parity[static_cast<std::size_t>(degree / 2 + 1)] = 0;
    all.push_back(parity);
  }
  for (const std::vector<double>& series : all) {
    const auto degree = series.size() - 1;
    const ckks::Ciphertext y = ckks::chebyshev_evaluate(evaluator, c, series, 0x1p40);
    EXPECT_EQ(y.limbs(), kPrimes - ckks::chebyshev_depth(series));
    EXPECT_EQ(y.scale, 0x1p40);
    std::vector<double> expected;
    for (double t : x) expected.push_back(ckks::chebyshev_value(series, t));
    EXPECT_LT(test::relative_error(decrypt(y), expected), 0x1p-24) << "degree " << degree;
  }
}

TEST_F(BootstrapperTest, RaisingAddsSmallMultiplesOfTheFirstPrime) {
  add_keys({.slots_to_coeffs_factors = 1, .coeffs_to_slots_factors = 1, .raised_limbs = kPrimes, .input_peak = 0x1p30});
  const std::vector<double> x = test::random_values(ring->n(), 4, 1);
  const ckks::Ciphertext c = encrypt(x, 0x1p30, 1);
  const ckks::Ciphertext raised = evaluator.mod_raise(c, kPrimes);
  EXPECT_EQ(raised.limbs(), kPrimes);
  const auto q0 = static_cast<double>(ring->prime(0));
  const std::vector<double> before = secret::decrypt(key, c), after = secret::decrypt(key, raised);
  int different = 0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    const double multiple = std::nearbyint((after[i] - before[i]) / q0);
    EXPECT_LE(std::abs(multiple), 32);
    EXPECT_NEAR(after[i] - before[i], multiple * q0, 0x1p16);
    different += multiple != 0;
  }
  EXPECT_GT(different, static_cast<int>(before.size()) / 2);
}

TEST_F(BootstrapperTest, BootstrapsAllSlotsOfSeveralCiphertexts) {
  constexpr double bound = 4, in = 0x1p30, out = 0x1p36;
  const BootstrapSpec spec{
      .slots_to_coeffs_factors = 2, .coeffs_to_slots_factors = 3, .raised_limbs = kPrimes, .input_peak = bound * in};
  add_keys(spec);
  const Bootstrapper bootstrapper(spec, *ring);
  EXPECT_EQ(spec.output_limbs(), kPrimes - 3 - 5 - 4);
  std::vector<std::vector<double>> values;
  std::vector<ckks::Ciphertext> list;
  for (unsigned k = 0; k < 3; ++k) {
    values.push_back(test::random_values(ring->n(), 5 + k, bound));
    list.push_back(encrypt(values.back(), in, 3 + static_cast<int>(k) / 3));
  }
  bootstrapper.run(evaluator, list, out);
  for (std::size_t k = 0; k < list.size(); ++k) {
    EXPECT_EQ(list[k].limbs(), spec.output_limbs());
    EXPECT_EQ(list[k].scale, out);
    EXPECT_LT(test::relative_error(decrypt(list[k]), values[k]), 0x1p-12);
  }
}

}  // namespace
}  // namespace sotto::bootstrap
