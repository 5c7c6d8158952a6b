#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "images/image_source.h"

namespace sotto::client {

/// Which images an encrypted input holds, remembered beside the keys so that `decrypt` can show them with their labels.
/// Stays with the client, mode 0600.
struct InputRecord {
  std::vector<std::string> sources;
  std::size_t start = 0, count = 0;
  std::string digest = "";  ///< digest_of the images, to notice when others took their place
  images::Fit fit = images::Fit::exact;
  images::ArrayLayout layout = images::ArrayLayout::unstated;
  std::string input_digest = "";          ///< of the input's file, 64 hexadecimal digits; empty: unknown
  std::vector<std::string> results = {};  ///< the same of results of it that were decrypted
};

/// Writes DIR/inputs/ID.json; DIR/inputs is made with mode 0700. Throws Error{bad_input} if it cannot be written.
void write_input_record(const std::filesystem::path& dir, const std::string& id, const InputRecord& record);

/// Nothing if there is no record. Throws Error{bad_input} if there is one that cannot be read.
std::optional<InputRecord> read_input_record(const std::filesystem::path& dir, const std::string& id);

/// Whether results of an input were decrypted before.
enum class Seen {
  never,
  these,   ///< from a file with the same contents
  others,  ///< from other files
};

/// Notes that results were decrypted, by the digest of their file, if there is a record of their input. Throws
/// Error{bad_input} if that cannot be written. waiting: as for FolderLock, while another program notes something.
Seen remember_result(const std::filesystem::path& dir, const std::string& id, const std::string& digest,
                     const std::function<void()>& waiting = {});

}  // namespace sotto::client
