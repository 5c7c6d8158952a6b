#include "ckks/level.h"

namespace sotto::ckks {

double divisor(std::span<const std::uint64_t> primes, const Level& from, const Level& to) {
  double ratio = 1;
  for (int l = 0; l < std::max(from.limbs, to.limbs); ++l) {
    const auto q = static_cast<double>(primes[static_cast<std::size_t>(l)]);
    if (from.has(l) && !to.has(l)) ratio *= q;
    if (to.has(l) && !from.has(l)) ratio /= q;
  }
  return ratio;
}

}  // namespace sotto::ckks
