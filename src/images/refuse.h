#pragma once

#include <filesystem>
#include <string>

#include "base/error.h"

namespace sotto::images {

/// Error{bad_input}: "cannot use PATH: WHAT".
[[noreturn]] inline void refuse(const std::string& path, const std::string& what, Setting setting = Setting::none) {
  throw Error(ErrorCode::bad_input, "cannot use " + path + ": " + what, setting);
}

}  // namespace sotto::images
