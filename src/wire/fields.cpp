#include "wire/fields.h"

#include "base/hex.h"

namespace sotto::wire {

std::vector<unsigned char> hex_bytes(const nlohmann::json& j, const char* name, std::size_t bytes) {
  const std::string digits = text(j, name);
  std::vector<unsigned char> out(bytes);
  if (!from_hex(digits, out)) bad_field(name);
  return out;
}

}  // namespace sotto::wire
