#pragma once

#include <string>
#include <vector>

namespace sotto {

/// `text` as printable UTF-8: names go into files, reports and terminals, so a question mark stands for every byte that
/// is not UTF-8 and for every control character, also those that change the direction of writing.
std::string readable_text(std::string text);

/// "'a', 'b' and 3 more": the first few of some names, each as readable_text.
std::string quoted(const std::vector<std::string>& names);

/// "1.23 GiB", in powers of 1024.
std::string format_bytes(double bytes);

/// "12.3 s", "3 min 05 s", "2 h 10 min".
std::string format_seconds(double seconds);

}  // namespace sotto
