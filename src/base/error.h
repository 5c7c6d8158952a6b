#pragma once

#include "sotto/error.h"

namespace sotto {

/// Throws Error{ErrorCode::internal}: a broken invariant, never a reaction to user input.
[[noreturn]] void internal_error(const std::string& message);

/// Checks an invariant of the program itself. Kept in release builds.
inline void check(bool condition, const char* message) {
  if (!condition) internal_error(message);
}

}  // namespace sotto
