#pragma once

#include <string>
#include <utility>
#include <vector>

namespace sotto::report {

/// What the pages have in common. All text is escaped; `content` is markup.

/// A self-contained page up to its heading. style: CSS. `page_end` ends it; written_by: a program and its verb.
std::string page_start(const std::string& title, const std::string& style);
std::string page_end(const std::string& written_by);

/// A figure in large type.
std::string tile(const std::string& name, const std::string& value, const std::string& note);

/// A plot or table with a heading and a sentence about it.
std::string section(const std::string& title, const std::string& text, const std::string& content);

/// Names and values, one row each.
std::string facts(const std::vector<std::pair<std::string, std::string>>& rows);

}  // namespace sotto::report
