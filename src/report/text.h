#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>

namespace sotto::report {

/// Numbers for readers; "unknown" for none and for those that are not finite.
std::string percent(std::optional<double> fraction);
std::string fixed(double v, int digits);
std::string scientific(double v);
/// Three digits.
std::string brief(double v);
std::string bytes(std::uint64_t n);
/// 65,536
std::string whole(std::int64_t n);
std::string whole(std::integral auto n) { return whole(static_cast<std::int64_t>(n)); }

}  // namespace sotto::report
