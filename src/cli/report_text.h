#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace sotto::cli {

/// The number `name` of an object; NaN if it is missing, null or no number.
double number(const nlohmann::json& object, const char* name);
/// The string `name` of an object; "unknown" if it is missing or no string.
std::string words(const nlohmann::json& object, const char* name);

/// Numbers for readers; "unknown" for those that are not finite.
std::string percent(double fraction);
std::string bytes(double v);
std::string seconds(double v);
std::string fixed(double v, int digits);
std::string scientific(double v);
/// Three digits.
std::string brief(double v);
/// 65,536
std::string whole(double v);

}  // namespace sotto::cli
