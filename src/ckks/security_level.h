#pragma once

#include <optional>
#include <string_view>

namespace sotto::ckks {

/// What parameters claim: bits of security, against classical attacks or against quantum computers, too.
enum class SecurityLevel { classical128, classical192, quantum128 };

/// "128", "192" or "quantum128": how files and command lines name a level.
constexpr std::string_view name_of(SecurityLevel level) {
  switch (level) {
    case SecurityLevel::classical192:
      return "192";
    case SecurityLevel::quantum128:
      return "quantum128";
    case SecurityLevel::classical128:
      break;
  }
  return "128";
}

/// The level of this name, if there is one.
constexpr std::optional<SecurityLevel> level_named(std::string_view name) {
  for (const SecurityLevel level :
       {SecurityLevel::classical128, SecurityLevel::classical192, SecurityLevel::quantum128})
    if (name == name_of(level)) return level;
  return std::nullopt;
}

/// For people: "192 bits of security".
constexpr std::string_view describe(SecurityLevel level) {
  switch (level) {
    case SecurityLevel::classical192:
      return "192 bits of security";
    case SecurityLevel::quantum128:
      return "128 bits of security, also against quantum computers";
    case SecurityLevel::classical128:
      break;
  }
  return "128 bits of security";
}

}  // namespace sotto::ckks
