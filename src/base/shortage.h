#pragma once

#include "base/error.h"

namespace sotto {

/// Whether an error number of the system says that it has not enough memory, descriptors, processes or threads, so that
/// the file or program that was asked for is not to blame.
bool is_shortage(int error);

/// What a file is reported as that cannot be used for an error of the system: no_resources or bad_input.
inline ErrorCode code_of(int error) { return is_shortage(error) ? ErrorCode::no_resources : ErrorCode::bad_input; }

}  // namespace sotto
