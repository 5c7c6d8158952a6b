#pragma once

#include <cmath>
#include <cstdint>

namespace sotto::runtime {

/// The integer `value` modulo q, in [0, q), for one that a 64-bit word may not hold.
std::uint64_t residue_of_large(double value, std::uint64_t q);

/// The integer `value` modulo q, in [0, q). Any integer that a double holds.
inline std::uint64_t residue(double value, std::uint64_t q) {
  if (!(std::abs(value) < static_cast<double>(q))) return residue_of_large(value, q);
  const auto m = static_cast<std::int64_t>(value);  // as a rule
  return static_cast<std::uint64_t>(m + (static_cast<std::int64_t>(q) & (m >> 63)));
}

}  // namespace sotto::runtime
