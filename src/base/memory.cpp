#include "base/memory.h"

#include <algorithm>
#include <fstream>
#include <string>

#include "base/control_group.h"

namespace sotto {

namespace {

std::uint64_t memory_info(const char* file, const std::string& field) {
  std::ifstream info(file);
  std::string word;
  while (info >> word) {
    if (word != field) continue;
    std::uint64_t kilobytes = 0;
    info >> kilobytes;
    return kilobytes * 1024;
  }
  return 0;
}

}  // namespace

std::uint64_t available_memory() {
  const std::uint64_t machine = memory_info("/proc/meminfo", "MemAvailable:");
  const auto group = group_memory("/");
  return group ? (machine == 0 ? group->available : std::min(machine, group->available)) : machine;
}

std::uint64_t total_memory() {
  const std::uint64_t machine = memory_info("/proc/meminfo", "MemTotal:");
  const auto group = group_memory("/");
  return group ? (machine == 0 ? group->limit : std::min(machine, group->limit)) : machine;
}

std::uint64_t peak_memory() { return memory_info("/proc/self/status", "VmHWM:"); }

}  // namespace sotto
