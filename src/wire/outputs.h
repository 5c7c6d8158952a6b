#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "wire/format.h"

namespace sotto::wire {

/// Throws Error{bad_input} unless a file, of that kind, could be written there now. An empty path passes.
void require_writable(const std::filesystem::path& path, std::optional<Kind> kind = std::nullopt);

/// Throws Error{bad_input} unless every path (empty ones apart) can be written, Error{usage} if two are the same file.
/// Only `texts` may be the standard output. Returns whether one of them is: then nothing else belongs there.
bool require_outputs(std::span<const std::string> files, std::span<const std::string> texts);

/// Throws Error{usage} if both, not yet written, name the same file. An empty path passes.
void require_distinct(const std::filesystem::path& a, const std::filesystem::path& b);

/// Throws Error{usage} if one of the outputs is there already and is one of the files that are read, or a picture in
/// one of the folders. Names that are no paths, and empty ones, are passed over.
void require_kept(std::span<const std::string> inputs, std::span<const std::string> outputs);

}  // namespace sotto::wire
