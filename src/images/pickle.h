#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sotto::images {

/// What the Python files of CIFAR hold: a dictionary of lists and one array of bytes. The views are of the file that
/// was parsed.
struct PickledBatch {
  struct Array {
    std::vector<std::uint64_t> shape;
    std::string_view bytes;
  };
  std::map<std::string, std::vector<std::int64_t>> numbers;
  std::map<std::string, std::vector<std::string_view>> texts;
  std::map<std::string, Array> arrays;
};

/// Reads a pickle (protocols 2 to 4) that is a dictionary of lists of integers, lists of texts and NumPy arrays of
/// uint8 in C order; other members are passed over. This is no interpreter of Python: a pickle that names any function
/// or class but those of a NumPy array is refused, and nothing of it is ever called. Throws Error{bad_input}, without
/// the file's name.
PickledBatch parse_pickle(std::span<const unsigned char> file);

}  // namespace sotto::images
