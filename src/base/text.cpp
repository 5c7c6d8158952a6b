#include "base/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string_view>

namespace sotto {

namespace {

// U+200E, U+200F, U+202A to U+202E and U+2066 to U+2069, in UTF-8: what follows is shown in another order than it has.
bool turns_direction(std::string_view character) {
  if (character.size() != 3 || character[0] != '\xe2') return false;
  const auto middle = static_cast<unsigned char>(character[1]), last = static_cast<unsigned char>(character[2]);
  return (middle == 0x80 && (last == 0x8e || last == 0x8f || (last >= 0xaa && last <= 0xae))) ||
         (middle == 0x81 && last >= 0xa6 && last <= 0xa9);
}

}  // namespace

std::string readable_text(std::string text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const std::size_t length = byte < 0x80                   ? 1
                               : byte >= 0xc2 && byte < 0xe0 ? 2
                               : byte >= 0xe0 && byte < 0xf0 ? 3
                               : byte >= 0xf0 && byte < 0xf5 ? 4
                                                             : 0;
    bool valid = length > 0 && i + length <= text.size();
    for (std::size_t k = 1; valid && k < length; ++k) valid = (static_cast<unsigned char>(text[i + k]) & 0xc0) == 0x80;
    if (valid && length == 3)
      valid = !(byte == 0xe0 && static_cast<unsigned char>(text[i + 1]) < 0xa0) &&
              !(byte == 0xed && static_cast<unsigned char>(text[i + 1]) >= 0xa0);
    if (valid && length == 4)
      valid = !(byte == 0xf0 && static_cast<unsigned char>(text[i + 1]) < 0x90) &&
              !(byte == 0xf4 && static_cast<unsigned char>(text[i + 1]) >= 0x90);
    if (valid && length == 1) valid = byte >= 0x20 && byte != 0x7f;
    if (valid && length == 2) valid = byte != 0xc2 || static_cast<unsigned char>(text[i + 1]) >= 0xa0;  // C1 controls
    const bool turns = valid && turns_direction(std::string_view(text).substr(i, length));
    if (turns) text.replace(i, length, 1, '?');
    if (!valid) text[i] = '?';
    i += valid && !turns ? length : 1;
  }
  return text;
}

std::string quoted(const std::vector<std::string>& names) {
  constexpr std::size_t kMost = 6;
  std::string text;
  for (std::size_t k = 0; k < std::min(names.size(), kMost); ++k)
    text += (k == 0 ? "'" : ", '") + readable_text(names[k]) + "'";
  return names.size() > kMost ? text + fmt::format(" and {} more", names.size() - kMost) : text;
}

std::string format_bytes(double bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  int unit = 0;
  while (bytes >= 1024 && unit < 4) {
    bytes /= 1024;
    ++unit;
  }
  return fmt::format("{:.{}f} {}", bytes, unit == 0 ? 0 : 2, kUnits[unit]);
}

std::string format_seconds(double seconds) {
  if (seconds < 60) return fmt::format("{:.1f} s", seconds);
  const auto whole = std::llround(seconds);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
}

}  // namespace sotto
