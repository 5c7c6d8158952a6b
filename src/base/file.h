#pragma once

#include <filesystem>
#include <fstream>

namespace sotto {

/// A file to read, as a stream; where it cannot be opened, the stream says so. Throws std::bad_alloc if that is for
/// want of memory, which otherwise looks as if there were no such file.
std::ifstream open_to_read(const std::filesystem::path& path);

}  // namespace sotto
