#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace sotto::client {

/// Which images an encrypted input holds, remembered beside the keys so that `decrypt` can show them with their labels.
/// Stays with the client, mode 0600.
struct InputRecord {
  std::vector<std::string> sources;
  std::size_t start = 0, count = 0;
  std::string digest = "";  ///< digest_of the images, to notice when others took their place
};

/// Throws Error{bad_input} unless records could be written to DIR/inputs, which is made.
void require_input_records(const std::filesystem::path& dir);

/// DIR/inputs/ID.json.
void write_input_record(const std::filesystem::path& dir, const std::string& id, const InputRecord& record);

/// Nothing if there is no record, or none that can be read.
std::optional<InputRecord> read_input_record(const std::filesystem::path& dir, const std::string& id);

}  // namespace sotto::client
