#pragma once

#include <string>

namespace sotto::graph {

/// `text` as UTF-8: names go into files and reports, which are, so a question mark stands for every byte of a name that
/// is not.
std::string readable_text(std::string text);

}  // namespace sotto::graph
