#pragma once

#include <filesystem>
#include <fstream>

namespace sotto {

/// A file to read, as a stream; where it cannot be opened, the stream says so. Throws std::bad_alloc if that is for
/// want of memory, and std::filesystem::filesystem_error for want of a descriptor, which otherwise look as if there
/// were no such file or a damaged one.
std::ifstream open_to_read(const std::filesystem::path& path);

}  // namespace sotto
