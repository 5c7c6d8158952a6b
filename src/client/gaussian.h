#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>

namespace sotto::client {

/// A normal value with mean 0 and deviation 1 from two uniform words (Box and Muller, 1958). Tails end at 8.6.
inline double gaussian_of(std::uint64_t a, std::uint64_t b) {
  const auto part = [](std::uint64_t word) { return (static_cast<double>(word >> 11) + 0.5) * 0x1p-53; };
  return std::sqrt(-2 * std::log(part(a))) * std::cos(2 * std::numbers::pi * part(b));
}

}  // namespace sotto::client
