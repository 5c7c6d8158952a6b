#pragma once

#include <span>
#include <string>
#include <string_view>

namespace sotto {

/// Two digits for every byte, from 0 to f.
std::string to_hex(std::span<const unsigned char> bytes);

/// The opposite, in digits of either case: false, and bytes of any value, if the text is anything but two digits for
/// every byte.
[[nodiscard]] bool from_hex(std::string_view digits, std::span<unsigned char> bytes);

}  // namespace sotto
