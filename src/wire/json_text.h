#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <span>

namespace sotto::wire {

/// How much of a JSON text is read into memory, which can take far more than the text does.
struct JsonLimits {
  std::size_t bytes = 0;       ///< of the text
  std::size_t values = 0;      ///< in all
  std::size_t containers = 0;  ///< lists, objects, texts and names of members among them
  std::size_t depth = 16;      ///< of lists and objects in one another
};

/// Whether a text is JSON within the limits. Takes no memory to speak of.
bool fits(std::span<const char> text, const JsonLimits& limits);

/// What it says; discarded if it is no JSON, or beyond the limits.
nlohmann::json parse_json(std::span<const char> text, const JsonLimits& limits);

}  // namespace sotto::wire
