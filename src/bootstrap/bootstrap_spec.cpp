#include "bootstrap/bootstrap_spec.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"
#include "bootstrap/slot_map.h"
#include "ckks/chebyshev.h"
#include "ckks/security.h"
#include "simd/tables.h"

namespace sotto::bootstrap {

double modular_range() { return ckks::kEphemeralWeight + 1; }

int BootstrapSpec::depth() const {
  const std::vector<double> series(static_cast<std::size_t>(degree) + 1, 1.0);
  return coeffs_to_slots_factors + ckks::chebyshev_depth(series) + doublings;
}

std::vector<double> cosine_series(const BootstrapSpec& spec) {
  const double k = modular_range(), turns = std::exp2(spec.doublings);
  std::vector<double> series =
      ckks::chebyshev_fit([&](double t) { return std::cos(2 * std::numbers::pi * k * t / turns); }, spec.degree);
  for (std::size_t i = 1; i < series.size(); i += 2) series[i] = 0;  // what rounding left
  return series;
}

std::map<BootstrapSwitch, int> required_switches(const BootstrapSpec& spec, int log_n) {
  const std::size_t slots = std::size_t{1} << log_n;
  const std::uint64_t order = std::uint64_t{4} << log_n;
  std::map<BootstrapSwitch, int> all{{{1, ckks::kToEphemeral}, 1}, {{spec.raised_limbs, ckks::kFromEphemeral}, 1}};
  const auto add_rotations = [&](const FactorShape& shape, int limbs) {
    for (const auto& [r, times] : SlotMap::rotations(shape, slots)) {
      const auto turns = static_cast<std::uint64_t>(r < 0 ? r + static_cast<std::int64_t>(slots) : r);
      all[{limbs, simd::pow_mod(5, turns, order)}] += times;
    }
  };
  const auto entry = factor_shapes(slots, spec.slots_to_coeffs_factors),
             exit = factor_shapes(slots, spec.coeffs_to_slots_factors);
  for (int f = 0; f < spec.slots_to_coeffs_factors; ++f)
    add_rotations(entry[static_cast<std::size_t>(spec.slots_to_coeffs_factors - 1 - f)], spec.input_limbs() - f);
  for (int f = 0; f < spec.coeffs_to_slots_factors; ++f)
    add_rotations(exit[static_cast<std::size_t>(f)], spec.raised_limbs - f);
  const std::vector<double> series = cosine_series(spec);
  const int top = spec.raised_limbs - spec.coeffs_to_slots_factors, levels = ckks::chebyshev_depth(series);
  for (int l = 0; l < levels; ++l)  // spread evenly: close enough for costs
    all[{top - l, ckks::kRelinearise}] = (ckks::chebyshev_products(series) + levels - 1) / levels;
  for (int k = 0; k < spec.doublings; ++k) all[{top - levels - k, ckks::kRelinearise}] = 1;
  return all;
}

void verify(const BootstrapSpec& spec, int log_n) {
  const auto in_range = [](int v, int lo, int hi) { return v >= lo && v <= hi; };
  const bool valid = in_range(log_n, 6, 17) && in_range(spec.slots_to_coeffs_factors, 1, std::min(8, log_n - 1)) &&
                     in_range(spec.coeffs_to_slots_factors, 1, std::min(8, log_n - 1)) &&
                     in_range(spec.degree, 7, 127) && in_range(spec.doublings, 0, 8) &&
                     in_range(spec.raised_limbs, spec.depth() + 1, 64) && spec.input_peak > 1 &&
                     spec.input_peak < 0x1p60;
  if (!valid) throw Error(ErrorCode::bad_input, "a bootstrapping circuit is out of range");
}

}  // namespace sotto::bootstrap
