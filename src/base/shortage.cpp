#include "base/shortage.h"

#include <cerrno>

namespace sotto {

bool is_shortage(int error) { return error == ENOMEM || error == EMFILE || error == ENFILE || error == EAGAIN; }

}  // namespace sotto
