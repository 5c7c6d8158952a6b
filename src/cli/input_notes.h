#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "client/input_record.h"

namespace sotto::cli {

/// The folder of a secret key, named by it or by the key.
std::filesystem::path key_folder(const std::string& keys);

/// Notes beside the key what was encrypted. Without that results are as good, but shown without names and true labels,
/// and not compared with their input: a note says so if it cannot be written.
void remember_input(const std::string& keys, const std::string& id, const client::InputRecord& record);

/// What happens if nothing is noted of an input beside a key that other inputs are noted of.
enum class IfMissing { ignored, told };

/// What is noted beside the key of an input; nothing if there is no note, or a bad one. A line says so of the latter.
std::optional<client::InputRecord> find_record(const std::string& keys, const std::string& id,
                                               IfMissing if_missing = IfMissing::ignored);

/// Notes beside the key that results of an input were decrypted, by the digest of their file, and says so if they, or
/// others, were before.
void remember_result(const std::string& keys, const std::string& id, const std::string& digest);

}  // namespace sotto::cli
