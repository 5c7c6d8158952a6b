#include "wire/format.h"

#include "wire/json_text.h"

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
    case Kind::signing_key:
      return "signing key";
  }
  return "unknown";
}

JsonLimits header_limits(Kind kind) {
  constexpr std::size_t k = 1 << 10, m = k * k;
  switch (kind) {
    case Kind::plan:  // blocks of channels; the server's own
      return {64 * m, 8 * m, 2 * m};
    case Kind::client:  // up to 65,536 names of classes
      return {8 * m, 512 * k, 256 * k};
    case Kind::secret_key:
    case Kind::signing_key:
    case Kind::public_key:  // a length for every limb
      return {4 * k, 128, 32};
    case Kind::eval_key:  // a list of three numbers, and a length, for every key
      return {4 * m, 512 * k, 128 * k};
    case Kind::input:
    case Kind::output:  // a length for every ciphertext
      return {16 * m, 2 * m, 32 * k};
  }
  return {};
}

}  // namespace sotto::wire
