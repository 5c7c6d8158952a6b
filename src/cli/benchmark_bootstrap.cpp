#include <algorithm>
#include <cmath>
#include <random>

#include "base/error.h"
#include "bootstrap/bootstrapper.h"
#include "ckks/encoder.h"
#include "ckks/security.h"
#include "cli/benchmarks.h"
#include "cli/medians.h"
#include "secret/crypt.h"
#include "secret/keygen.h"

namespace sotto::cli {

namespace {

constexpr int kLogN = 16, kLimbs = 29, kSpecial = 7;
constexpr double kInputScale = 0x1p36, kOutputScale = 0x1p40;  // of values in [-1, 1]

}  // namespace

std::vector<nlohmann::json> bench_bootstrap() {
  const ckks::ParametersSpec chosen{kLogN, ring::RingKind::conjugate_invariant, kLimbs, kSpecial, 48};
  const auto parameters = ckks::Parameters::create(chosen);
  const auto ring = parameters.make_ring(simd::select_kernels());
  const auto secret = secret::SecretKey::generate(ring);
  const bootstrap::BootstrapSpec spec{.raised_limbs = kLimbs, .input_peak = kInputScale};
  const std::vector<ckks::KeyTier> tiers{
      {kLimbs, kSpecial}, {spec.input_limbs(), spec.input_limbs() + 1}, {1, 1, true}};
  ckks::KeyMap keys;
  const ckks::Evaluator evaluator(parameters, ring, tiers, &keys);
  const double before_keys = now();
  double key_bytes = 0;
  const secret::KeyGenerator generator(kLimbs, secret);
  for (const auto& [s, times] : bootstrap::required_switches(spec, kLogN)) {
    const ckks::KeyId id{s.galois_element == ckks::kToEphemeral ? 2 : evaluator.tier_for(s.limbs), s.galois_element};
    if (keys.keys.contains(id)) continue;
    const ckks::KeyTier& tier = tiers[static_cast<std::size_t>(id.tier)];
    keys.keys.emplace(id, ckks::expand(*ring, kLimbs, generator.switching_key({tier, id.galois_element})));
    key_bytes +=
        ckks::key_digits(tier, s.galois_element) * (tier.max_limbs + tier.special) * 6.0 * std::ldexp(1, kLogN);
  }
  const double before_matrices = now();
  const bootstrap::Bootstrapper bootstrapper(spec, *ring);
  const double after_matrices = now();

  const ckks::Encoder encoder(kLogN, chosen.kind);
  std::vector<nlohmann::json> out;
  for (const std::size_t together : {std::size_t{1}, std::size_t{4}}) {
    std::vector<double> times;
    double error = 0, squares = 0;
    for (int round = 0; round < 3; ++round) {
      std::mt19937_64 rng(static_cast<unsigned>(round));
      std::uniform_real_distribution<double> uniform(-1, 1);
      std::vector<std::vector<double>> values(together, std::vector<double>(ring->n()));
      std::vector<ckks::Ciphertext> list;
      for (auto& v : values) {
        for (double& x : v) x = uniform(rng);
        const auto p =
            ckks::encode(*ring, encoder.embed_inverse(std::span<const double>(v)), kInputScale, spec.input_limbs());
        list.push_back(ckks::expand(*ring, secret::encrypt_symmetric(secret, p, ckks::random_seed(), 0)));
      }
      const double start = now();
      bootstrapper.run(evaluator, list, kOutputScale);
      times.push_back((now() - start) / static_cast<double>(together));
      for (std::size_t c = 0; c < together; ++c) {
        const auto got = encoder.embed(secret::decrypt(secret, evaluator.drop_to(list[c], 2)));
        for (std::size_t j = 0; j < ring->n(); ++j) {
          const double e = std::abs(got[j].real() / kOutputScale - values[c][j]);
          error = std::max(error, e);
          squares += e * e / static_cast<double>(ring->n() * together * 3);
        }
      }
    }
    check(error < 0x1p-8, "bootstrapping gave wrong slots");
    std::sort(times.begin(), times.end());
    out.push_back({{"log2_n", kLogN},
                   {"real_slots", ring->slots()},
                   {"log2_qp", parameters.log2_qp()},
                   {"limbs", kLimbs},
                   {"special_primes", kSpecial},
                   {"together", together},
                   {"seconds_each", times[1]},
                   {"precision_bits", -std::log2(std::sqrt(squares))},
                   {"worst_precision_bits", -std::log2(error)},
                   {"limbs_left", spec.output_limbs()},
                   {"layers_left", spec.output_limbs() - spec.input_limbs()},
                   {"failure_probability", 0},
                   {"eval_key_bytes", key_bytes},
                   {"memory_pool_bytes", ring->pool_bytes()},
                   {"keygen_seconds", before_matrices - before_keys},
                   {"matrix_seconds", after_matrices - before_matrices}});
  }
  return out;
}

}  // namespace sotto::cli
