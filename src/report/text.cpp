#include "report/text.h"

#include <fmt/format.h>

#include <cmath>

#include "base/text.h"

namespace sotto::report {

namespace {

template <typename Format>
std::string known(double v, const Format& format) {
  return std::isfinite(v) ? format(v) : "unknown";
}

}  // namespace

std::string percent(std::optional<double> fraction) {
  return known(fraction.value_or(NAN), [](double x) { return fmt::format("{:.2f} %", 100 * x); });
}

std::string fixed(double v, int digits) {
  return known(v, [digits](double x) { return fmt::format("{:.{}f}", x, digits); });
}

std::string scientific(double v) {
  return known(v, [](double x) { return fmt::format("{:.2e}", x); });
}

std::string brief(double v) {
  return known(v, [](double x) { return fmt::format("{:.3g}", x); });
}

std::string bytes(std::uint64_t n) { return format_bytes(static_cast<double>(n)); }

std::string whole(std::int64_t n) {
  std::string digits = std::to_string(n);
  for (auto at = static_cast<int>(digits.size()) - 3; at > (n < 0 ? 1 : 0); at -= 3)
    digits.insert(static_cast<std::size_t>(at), ",");
  return digits;
}

}  // namespace sotto::report
