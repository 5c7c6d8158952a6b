#pragma once

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

}  // namespace sotto::ckks
