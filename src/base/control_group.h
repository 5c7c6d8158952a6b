#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace sotto {

/// Memory that the control groups of this process allow it.
struct GroupMemory {
  std::uint64_t limit = 0;      ///< bytes, the least on the way from its group to the root
  std::uint64_t available = 0;  ///< bytes below the limits now; pages of files that can be dropped count as free

  bool operator==(const GroupMemory&) const = default;
};

/// From the files of version 1 (memory.limit_in_bytes) and 2 (memory.max, memory.high), in any group that holds this
/// process; nothing if none has a limit. root: where /proc and the mounted groups are, "/" but in tests.
std::optional<GroupMemory> group_memory(const std::filesystem::path& root);

}  // namespace sotto
