#include "wire/fields.h"

#include <sodium.h>

namespace sotto::wire {

std::vector<unsigned char> hex_bytes(const nlohmann::json& j, const char* name, std::size_t bytes) {
  const std::string digits = text(j, name);
  std::vector<unsigned char> out(bytes);
  std::size_t length = 0;
  if (digits.size() != 2 * bytes ||
      sodium_hex2bin(out.data(), out.size(), digits.data(), digits.size(), nullptr, &length, nullptr) != 0 ||
      length != bytes)
    bad_field(name);
  return out;
}

std::string to_hex(const unsigned char* data, std::size_t bytes) {
  std::string out(2 * bytes + 1, '\0');
  sodium_bin2hex(out.data(), out.size(), data, bytes);
  out.pop_back();
  return out;
}

}  // namespace sotto::wire
