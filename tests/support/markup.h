#pragma once

#include <regex>
#include <string>
#include <vector>

namespace sotto::test {

/// Matches of a pattern's group 1 (or of all of it, if it has none), in order.
inline std::vector<std::string> found(const std::string& text, const std::string& pattern) {
  const std::regex expression(pattern);
  std::vector<std::string> out;
  for (auto i = std::sregex_iterator(text.begin(), text.end(), expression); i != std::sregex_iterator(); ++i)
    out.push_back(i->size() > 1 ? i->str(1) : i->str());
  return out;
}

/// The numbers that a pattern's group 1 matches.
inline std::vector<double> found_numbers(const std::string& text, const std::string& pattern) {
  std::vector<double> out;
  for (const auto& word : found(text, pattern)) out.push_back(std::stod(word));
  return out;
}

/// Empty if every element that opens is closed in the right order, otherwise what is wrong first. For markup without
/// comments, as SVG.
inline std::string unbalanced(const std::string& text) {
  std::vector<std::string> open;
  for (std::size_t at = text.find('<'); at != std::string::npos; at = text.find('<', at + 1)) {
    const std::size_t end = text.find('>', at);
    if (end == std::string::npos) return "no end: " + text.substr(at, 40);
    const std::string tag = text.substr(at + 1, end - at - 1);
    if (tag.empty() || tag.find('<') != std::string::npos) return "bad tag: " + tag;
    const std::string name = tag.substr(0, tag.find_first_of(" /", 1));
    if (tag.front() == '/') {
      if (open.empty() || "/" + open.back() != tag) return "closes nothing: " + tag;
      open.pop_back();
    } else if (tag.back() != '/') {
      open.push_back(name);
    }
  }
  return open.empty() ? "" : "never closed: " + open.back();
}

}  // namespace sotto::test
