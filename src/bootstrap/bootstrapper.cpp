#include "bootstrap/bootstrapper.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"
#include "ckks/chebyshev.h"

namespace sotto::bootstrap {

namespace {

// Encodes factors whose plaintexts multiply the scale by `gain` together; the first works at `limbs` limbs.
std::vector<SlotMap> encode_factors(const ring::Ring& ring, const ckks::Encoder& encoder,
                                    const std::vector<SlotMatrix>& factors, const std::vector<FactorShape>& shapes,
                                    int limbs, double gain) {
  std::vector<SlotMap> maps;
  const double share = std::pow(gain, 1.0 / static_cast<double>(factors.size()));
  for (std::size_t f = 0; f < factors.size(); ++f) {
    const auto prime = static_cast<double>(ring.prime(static_cast<std::size_t>(limbs) - 1 - f));
    maps.emplace_back(ring, encoder, factors[f], shapes[f], share * prime);
  }
  return maps;
}

}  // namespace

Bootstrapper::Bootstrapper(const BootstrapSpec& spec, const ring::Ring& ring) : spec_(spec), ring_(ring) {
  verify(spec, ring.log_n());
  series_ = cosine_series(spec);
  check(static_cast<std::size_t>(spec.raised_limbs) <= ring.prime_count(), "the ring has too few primes to raise to");
  const ckks::Encoder encoder(ring.log_n(), ring.kind());
  const std::size_t n = ring.n();
  const auto q0 = static_cast<double>(ring.prime(0));
  auto shapes = factor_shapes(n, spec.slots_to_coeffs_factors);
  std::reverse(shapes.begin(), shapes.end());
  slots_to_coeffs_ = encode_factors(ring, encoder, embedding(n, spec.slots_to_coeffs_factors), shapes,
                                    spec.input_limbs(), q0 * kMessageRatio / spec.input_peak);
  // Slots hold (m + q_0 I) / (q_0 K) at the scale of the prime that the first power of the series is divided by.
  const auto divisor =
      static_cast<double>(ring.prime(static_cast<std::size_t>(spec.raised_limbs - spec.coeffs_to_slots_factors - 1)));
  coeffs_to_slots_ = encode_factors(ring, encoder, inverse_embedding(n, spec.coeffs_to_slots_factors),
                                    factor_shapes(n, spec.coeffs_to_slots_factors), spec.raised_limbs,
                                    divisor / (q0 * modular_range()));
}

// scale: of the sine. Those of the cosine and after every doubling follow backwards.
ckks::Ciphertext Bootstrapper::eval_mod(const ckks::Evaluator& evaluator, ckks::Ciphertext c, double scale) const {
  std::vector<double> scales{scale};
  for (int k = 0; k < spec_.doublings; ++k) {
    const auto divisor = static_cast<double>(ring_.prime(static_cast<std::size_t>(spec_.output_limbs() + k)));
    scales.insert(scales.begin(), std::sqrt(scales.front() * divisor));
  }
  ckks::Ciphertext x = ckks::chebyshev_evaluate(evaluator, evaluator.add_scalar(std::move(c), -0.25 / modular_range()),
                                                series_, scales.front());
  for (int k = 1; k <= spec_.doublings; ++k) {
    x = evaluator.square(std::move(x));
    x = evaluator.add_scalar(evaluator.add(x, x), -1);
    x.scale = scales[static_cast<std::size_t>(k)];  // up to rounding in double
  }
  return x;
}

void Bootstrapper::run(const ckks::Evaluator& evaluator, std::span<ckks::Ciphertext> list, double output_scale) const {
  if (list.empty()) return;
  // The result is sin(2 pi m / q_0) = 2 pi m / q_0 and a cubic rest, where m / q_0 = kMessageRatio at the peak.
  const double sine_scale =
      output_scale * (spec_.input_peak / list.front().scale) / (2 * std::numbers::pi * kMessageRatio);
  for (ckks::Ciphertext& c : list) c = evaluator.drop_to(c, spec_.input_limbs());
  for (const SlotMap& map : slots_to_coeffs_) map.apply(evaluator, list);
  for (ckks::Ciphertext& c : list) {
    c = evaluator.mod_raise(c, spec_.raised_limbs);
    c.scale = static_cast<double>(ring_.prime(0)) * modular_range();
  }
  for (const SlotMap& map : coeffs_to_slots_) map.apply(evaluator, list);
  for (ckks::Ciphertext& c : list) {
    c = eval_mod(evaluator, std::move(c), sine_scale);
    c.scale = output_scale;
  }
}

}  // namespace sotto::bootstrap
