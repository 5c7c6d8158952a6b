#pragma once

#include "ckks/security_level.h"
#include "sotto/spec.h"

namespace sotto::api {

/// A level of the library as the engine has it.
inline ckks::SecurityLevel level_of(Security security) {
  switch (security) {
    case Security::classical192:
      return ckks::SecurityLevel::classical192;
    case Security::quantum128:
      return ckks::SecurityLevel::quantum128;
    case Security::classical128:
      break;
  }
  return ckks::SecurityLevel::classical128;
}

/// The other way round.
inline Security security_of(ckks::SecurityLevel level) {
  switch (level) {
    case ckks::SecurityLevel::classical192:
      return Security::classical192;
    case ckks::SecurityLevel::quantum128:
      return Security::quantum128;
    case ckks::SecurityLevel::classical128:
      break;
  }
  return Security::classical128;
}

}  // namespace sotto::api
