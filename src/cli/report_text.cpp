#include "cli/report_text.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "cli/console.h"

namespace sotto::cli {

namespace {

constexpr const char* kUnknown = "unknown";

template <typename Format>
std::string known(double v, const Format& format) {
  return std::isfinite(v) ? format(v) : kUnknown;
}

}  // namespace

double number(const nlohmann::json& object, const char* name) {
  const auto it = object.find(name);
  return it != object.end() && it->is_number() ? it->get<double>() : std::numeric_limits<double>::quiet_NaN();
}

std::string words(const nlohmann::json& object, const char* name) {
  const auto it = object.find(name);
  return it != object.end() && it->is_string() ? it->get<std::string>() : kUnknown;
}

std::string percent(double fraction) {
  return known(fraction, [](double x) { return fmt::format("{:.2f} %", 100 * x); });
}

std::string bytes(double v) { return known(v, format_bytes); }

std::string seconds(double v) { return known(v, format_seconds); }

std::string fixed(double v, int digits) {
  return known(v, [digits](double x) { return fmt::format("{:.{}f}", x, digits); });
}

std::string scientific(double v) {
  return known(v, [](double x) { return fmt::format("{:.2e}", x); });
}

std::string brief(double v) {
  return known(v, [](double x) { return fmt::format("{:.3g}", x); });
}

std::string whole(double v) {
  std::string digits = fixed(v, 0);
  if (std::isfinite(v))
    for (auto at = static_cast<int>(digits.size()) - 3; at > (v < 0 ? 1 : 0); at -= 3)
      digits.insert(static_cast<std::size_t>(at), ",");
  return digits;
}

}  // namespace sotto::cli
