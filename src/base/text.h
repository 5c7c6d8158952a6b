#pragma once

#include <string>

namespace sotto {

/// `text` as printable UTF-8: names go into files, reports and terminals, so a question mark stands for every byte that
/// is not UTF-8 and for every control character.
std::string readable_text(std::string text);

}  // namespace sotto
