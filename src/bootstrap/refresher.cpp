#include "bootstrap/refresher.h"

#include <algorithm>
#include <cmath>
#include <numbers>

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

Refresher::Refresher(const RefreshSpec& spec, const ckks::Parameters& parameters, const ring::Ring& ring)
    : spec_(spec), raised_limbs_(parameters.spec().ciphertext_primes), ring_(ring), series_(cosine_series(spec)) {
  verify(spec, ring.log_n(), raised_limbs_);
  const ckks::Encoder encoder(ring.log_n(), ring.kind());
  const std::size_t n = ring.n();
  const auto q0 = static_cast<double>(ring.prime(0));
  const double coefficient_scale = q0 * kMessageRatio / spec.bound;
  auto shapes = factor_shapes(n, spec.entry_factors);
  std::reverse(shapes.begin(), shapes.end());
  to_coefficients_ = encode_factors(ring, encoder, embedding(n, spec.entry_factors), shapes, spec.input_limbs(),
                                    coefficient_scale / spec.input_scale);
  // Slots hold (m + q_0 I) / (q_0 K) at the scale of the prime that the first power of the series is divided by.
  const int limbs = raised_limbs_ - spec.exit_factors;
  const auto q = [&](int index) { return static_cast<double>(ring.prime(static_cast<std::size_t>(index))); };
  to_slots_ = encode_factors(ring, encoder, inverse_embedding(n, spec.exit_factors),
                             factor_shapes(n, spec.exit_factors), raised_limbs_, q(limbs - 1) / (q0 * modular_range()));
  // The result is sin(2 pi m / q_0) = 2 pi m / q_0 and a cubic rest: its scale in units of the message is known, and so
  // backwards that of every doubling.
  scales_.push_back(spec.output_scale * q0 / (2 * std::numbers::pi * coefficient_scale));
  for (int k = 0; k < spec.doublings; ++k)
    scales_.insert(scales_.begin(), std::sqrt(scales_.front() * q(output_limbs() + k)));
}

ckks::Ciphertext Refresher::reduce_modulus(const ckks::Evaluator& evaluator, const ckks::Ciphertext& c) const {
  ckks::Ciphertext x = ckks::chebyshev_evaluate(evaluator, c, series_, scales_.front());
  for (int k = 1; k <= spec_.doublings; ++k) {
    x = evaluator.square(std::move(x));
    x = evaluator.add_scalar(evaluator.add(x, x), -1);
    x.scale = scales_[static_cast<std::size_t>(k)];  // up to rounding in double
  }
  x.scale = spec_.output_scale;
  return x;
}

void Refresher::run(const ckks::Evaluator& evaluator, std::span<ckks::Ciphertext> list) const {
  for (ckks::Ciphertext& c : list) c = evaluator.drop_to(c, spec_.input_limbs());
  for (const SlotMap& map : to_coefficients_) map.apply(evaluator, list);
  for (ckks::Ciphertext& c : list) {
    c = evaluator.raise(c, raised_limbs_);
    c.scale = static_cast<double>(ring_.prime(0)) * modular_range();
  }
  for (const SlotMap& map : to_slots_) map.apply(evaluator, list);
  for (ckks::Ciphertext& c : list) c = reduce_modulus(evaluator, c);
}

}  // namespace sotto::bootstrap
