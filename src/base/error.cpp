#include "base/error.h"

namespace sotto {

void internal_error(const std::string& message) { throw Error(ErrorCode::internal, "internal error: " + message); }

}  // namespace sotto
