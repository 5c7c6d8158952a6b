#include "bootstrap/refresh_spec.h"

#include <cmath>
#include <numbers>
#include <set>

#include "base/error.h"
#include "bootstrap/slot_map.h"
#include "ckks/chebyshev.h"
#include "ckks/security.h"
#include "simd/tables.h"

namespace sotto::bootstrap {

double modular_range() { return ckks::kEphemeralWeight + 1; }

int RefreshSpec::depth() const {
  const std::vector<double> series(static_cast<std::size_t>(degree) + 1, 1.0);
  return exit_factors + ckks::chebyshev_depth(series) + doublings;
}

std::vector<double> cosine_series(const RefreshSpec& spec) {
  const double k = modular_range(), turns = std::exp2(spec.doublings);
  return ckks::chebyshev_fit([&](double t) { return std::cos(2 * std::numbers::pi * (k * t - 0.25) / turns); },
                             spec.degree);
}

std::vector<RefreshSwitch> required_switches(const RefreshSpec& spec, int log_n, int raised_limbs) {
  const std::size_t slots = std::size_t{1} << log_n;
  const std::uint64_t order = std::uint64_t{4} << log_n;
  std::set<RefreshSwitch> all{{1, ckks::kToEphemeral}, {raised_limbs, ckks::kFromEphemeral}};
  const auto add_rotations = [&](const FactorShape& shape, int limbs) {
    for (std::int64_t r : SlotMap::rotations(shape, slots))
      all.insert(
          {limbs,
           simd::pow_mod(5, static_cast<std::uint64_t>(r + (r < 0 ? static_cast<std::int64_t>(slots) : 0)), order)});
  };
  const auto entry = factor_shapes(slots, spec.entry_factors), exit = factor_shapes(slots, spec.exit_factors);
  for (int f = 0; f < spec.entry_factors; ++f)
    add_rotations(entry[static_cast<std::size_t>(spec.entry_factors - 1 - f)], spec.input_limbs() - f);
  for (int f = 0; f < spec.exit_factors; ++f) add_rotations(exit[static_cast<std::size_t>(f)], raised_limbs - f);
  for (int l = raised_limbs - spec.exit_factors; l > raised_limbs - spec.depth(); --l)
    all.insert({l, ckks::kRelinearise});
  return {all.begin(), all.end()};
}

void verify(const RefreshSpec& spec, int log_n, int raised_limbs) {
  const auto in_range = [](int v, int lo, int hi) { return v >= lo && v <= hi; };
  const bool valid = in_range(log_n, 6, 17) && in_range(spec.entry_factors, 1, std::min(8, log_n - 1)) &&
                     in_range(spec.exit_factors, 1, std::min(8, log_n - 1)) && in_range(spec.degree, 7, 127) &&
                     in_range(spec.doublings, 0, 8) && spec.bound > 0 && spec.bound < 0x1p30 && spec.input_scale > 1 &&
                     spec.input_scale < 0x1p60 && spec.output_scale > 1 && spec.output_scale < 0x1p60 &&
                     raised_limbs > spec.depth() && raised_limbs <= 64;
  if (!valid) throw Error(ErrorCode::bad_input, "a bootstrapping circuit is out of range");
}

}  // namespace sotto::bootstrap
