#include "base/control_group.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace sotto {

namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kNoLimit = std::uint64_t{1} << 60;  // version 1 says so by a number near 2^63

// The first number in a file; "max", or no such file, is nothing.
std::optional<std::uint64_t> number_in(const fs::path& path) {
  std::ifstream file(path);
  std::string word;
  std::uint64_t value = 0;
  if (!(file >> word)) return {};
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size() || value >= kNoLimit) return {};
  return value;
}

// A line "NAME VALUE" of memory.stat; 0 if there is none.
std::uint64_t statistic(const fs::path& path, const std::string& name) {
  std::ifstream file(path);
  std::string word;
  for (std::uint64_t value = 0; file >> word >> value;)
    if (word == name) return value;
  return 0;
}

// Names of the files of a version.
struct Version {
  std::vector<const char*> limits;
  const char *usage, *cache;
};

const Version kVersion1{{"memory.limit_in_bytes"}, "memory.usage_in_bytes", "total_inactive_file"};
const Version kVersion2{{"memory.max", "memory.high"}, "memory.current", "inactive_file"};

void lower(std::optional<GroupMemory>& least, const fs::path& group, const Version& version) {
  for (const char* file : version.limits) {
    const auto limit = number_in(group / file);
    if (!limit) continue;
    const std::uint64_t usage = number_in(group / version.usage).value_or(0);
    const std::uint64_t used = usage - std::min(usage, statistic(group / "memory.stat", version.cache));
    const std::uint64_t available = *limit - std::min(*limit, used);
    if (!least) least = {*limit, available};
    least->limit = std::min(least->limit, *limit);
    least->available = std::min(least->available, available);
  }
}

bool has_word(const std::string& list, const std::string& word) {
  std::istringstream words(list);
  for (std::string w; std::getline(words, w, ',');)
    if (w == word) return true;
  return false;
}

// Where a hierarchy is mounted, and which of its groups that is.
struct Mount {
  fs::path point, group;
};

// proc(5): id, parent, device, group, point, options, any number of fields, "-", type, source, options of the type.
std::optional<Mount> mount_of(const fs::path& root, bool second) {
  std::ifstream file(root / "proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    std::string id, parent, device, group, point, word, type, source, options;
    fields >> id >> parent >> device >> group >> point;
    while (fields >> word && word != "-") {
    }
    fields >> type >> source >> options;
    if (second ? type == "cgroup2" : type == "cgroup" && has_word(options, "memory")) return Mount{point, group};
  }
  return {};
}

}  // namespace

std::optional<GroupMemory> group_memory(const fs::path& root) {
  std::optional<GroupMemory> least;
  std::ifstream file(root / "proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {  // "4:memory:/group", in version 2 "0::/group"
    const auto first = line.find(':'), next = line.find(':', first + 1);
    if (first == std::string::npos || next == std::string::npos) continue;
    const bool second = line.compare(0, next + 1, "0::") == 0;
    if (!second && !has_word(line.substr(first + 1, next - first - 1), "memory")) continue;
    const auto mount = mount_of(root, second);
    if (!mount) continue;
    const fs::path top = root / mount->point.relative_path();
    // In a container the mount may show a part of the tree only, and the group be named from outside of it.
    fs::path inside = fs::path(line.substr(next + 1)).lexically_relative(mount->group);
    std::error_code none;
    if (inside.empty() || *inside.begin() == ".." || !fs::is_directory(top / inside, none)) inside = ".";
    for (fs::path group = (top / inside).lexically_normal();; group = group.parent_path()) {
      lower(least, group, second ? kVersion2 : kVersion1);
      if (group.lexically_relative(top) == "." || group.lexically_relative(top).empty() || group == group.parent_path())
        break;
    }
  }
  return least;
}

}  // namespace sotto
