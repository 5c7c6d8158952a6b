#pragma once

#include "ckks/security_level.h"
#include "ring/ring.h"
#include "wire/fields.h"

namespace sotto::ckks {

/// The member "ring" of a header. Throws Error{bad_input} if it names none.
inline ring::RingKind ring_kind(const nlohmann::json& header) {
  const std::string name = wire::text(header, "ring");
  for (ring::RingKind kind : {ring::RingKind::standard, ring::RingKind::conjugate_invariant})
    if (name == ring::name_of(kind)) return kind;
  wire::bad_field("ring");
}

/// The member "security" of a header: what its parameters claim. Headers without one are of 128 bits. Throws
/// Error{bad_input} if it names no level.
inline SecurityLevel security_level(const nlohmann::json& header) {
  if (!header.is_object() || !header.contains("security")) return SecurityLevel::classical128;
  const std::optional<SecurityLevel> level = level_named(wire::text(header, "security", 20));
  if (!level || *level == SecurityLevel::classical128) wire::bad_field("security");
  return *level;
}

/// Adds it, unless the level is that of headers without one.
inline void add_security_level(nlohmann::json& header, SecurityLevel level) {
  if (level != SecurityLevel::classical128) header["security"] = name_of(level);
}

}  // namespace sotto::ckks
