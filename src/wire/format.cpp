#include "wire/format.h"

namespace sotto::wire {

std::string_view name_of(Kind kind) {
  switch (kind) {
    case Kind::plan:
      return "plan";
    case Kind::client:
      return "client description";
    case Kind::secret_key:
      return "secret key";
    case Kind::eval_key:
      return "evaluation key";
    case Kind::input:
      return "encrypted input";
    case Kind::output:
      return "encrypted output";
    case Kind::public_key:
      return "public key";
  }
  return "unknown";
}

}  // namespace sotto::wire
