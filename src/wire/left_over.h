#pragma once

#include <filesystem>

namespace sotto::wire {

/// Marks an open temporary file as in use until it is closed, by a lock. False if another process is just removing it.
/// Where the file system knows no locks, the file counts as in use.
bool mark_in_use(int fd);

/// Removes the temporary files TARGET.PID-N.tmp of programs that were killed while they wrote TARGET. Those in use, and
/// those that cannot be locked or removed, stay.
void remove_left_over(const std::filesystem::path& target);

}  // namespace sotto::wire
