#include "base/hex.h"

namespace sotto {

namespace {

// -1 for what is no digit.
int value_of(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

}  // namespace

std::string to_hex(std::span<const unsigned char> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  out.reserve(2 * bytes.size());
  for (const unsigned char b : bytes) {
    out += kDigits[b >> 4];
    out += kDigits[b & 15];
  }
  return out;
}

bool from_hex(std::string_view digits, std::span<unsigned char> bytes) {
  if (digits.size() != 2 * bytes.size()) return false;
  for (std::size_t k = 0; k < bytes.size(); ++k) {
    const int high = value_of(digits[2 * k]), low = value_of(digits[2 * k + 1]);
    if (high < 0 || low < 0) return false;
    bytes[k] = static_cast<unsigned char>(high << 4 | low);
  }
  return true;
}

}  // namespace sotto
