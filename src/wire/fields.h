#pragma once

#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/error.h"

// Checked access to members of a header: every function throws Error{bad_input} for a member that is missing, of
// another type or out of range.
namespace sotto::wire {

[[noreturn]] inline void bad_field(const char* name) {
  throw Error(ErrorCode::bad_input, std::string("the file's header has a bad value for '") + name + "'");
}

inline const nlohmann::json& field(const nlohmann::json& j, const char* name) {
  if (!j.is_object()) bad_field(name);
  const auto it = j.find(name);
  if (it == j.end()) bad_field(name);
  return *it;
}

inline std::int64_t integer(const nlohmann::json& j, const char* name, std::int64_t lo, std::int64_t hi) {
  const auto& v = field(j, name);
  if (!v.is_number_integer()) bad_field(name);
  if (v.is_number_unsigned() && v.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX)) bad_field(name);
  const auto value = v.get<std::int64_t>();
  if (value < lo || value > hi) bad_field(name);
  return value;
}

inline int small_integer(const nlohmann::json& j, const char* name, int lo, int hi) {
  return static_cast<int>(integer(j, name, lo, hi));
}

inline bool boolean(const nlohmann::json& j, const char* name) {
  const auto& v = field(j, name);
  if (!v.is_boolean()) bad_field(name);
  return v.get<bool>();
}

inline double real(const nlohmann::json& j, const char* name) {
  const auto& v = field(j, name);
  if (!v.is_number() || !std::isfinite(v.get<double>())) bad_field(name);
  return v.get<double>();
}

inline std::string text(const nlohmann::json& j, const char* name, std::size_t max_bytes = 4096) {
  const auto& v = field(j, name);
  if (!v.is_string() || v.get_ref<const std::string&>().size() > max_bytes) bad_field(name);
  return v.get<std::string>();
}

inline const nlohmann::json& list(const nlohmann::json& j, const char* name, std::size_t max_size) {
  const auto& v = field(j, name);
  if (!v.is_array() || v.size() > max_size) bad_field(name);
  return v;
}

/// j itself is the list; name: of the member that it belongs to.
inline std::vector<double> reals_of(const nlohmann::json& j, const char* name, std::size_t max_size) {
  if (!j.is_array() || j.size() > max_size) bad_field(name);
  std::vector<double> out;
  for (const auto& v : j) {
    if (!v.is_number() || !std::isfinite(v.get<double>())) bad_field(name);
    out.push_back(v.get<double>());
  }
  return out;
}

inline std::vector<double> reals(const nlohmann::json& j, const char* name, std::size_t max_size) {
  return reals_of(field(j, name), name, max_size);
}

inline std::vector<std::string> texts(const nlohmann::json& j, const char* name, std::size_t max_size) {
  std::vector<std::string> out;
  for (const auto& v : list(j, name, max_size)) {
    if (!v.is_string()) bad_field(name);
    out.push_back(v.get<std::string>());
  }
  return out;
}

/// Exactly `bytes` bytes written as hexadecimal digits.
std::vector<unsigned char> hex_bytes(const nlohmann::json& j, const char* name, std::size_t bytes);

}  // namespace sotto::wire
