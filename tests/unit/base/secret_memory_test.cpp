// Secrets lie in pages of their own, which no core dump holds, and are wiped.
#include "base/secret_memory.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdint>
#include <fstream>
#include <string>

namespace sotto {
namespace {

// The flags of the mapping that holds an address (proc(5), VmFlags).
std::string flags_of(const void* address) {
  std::ifstream maps("/proc/self/smaps");
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  bool inside = false;
  for (std::string line; std::getline(maps, line);) {
    unsigned long long first = 0, last = 0;
    if (std::sscanf(line.c_str(), "%llx-%llx ", &first, &last) == 2) inside = wanted >= first && wanted < last;
    if (inside && line.starts_with("VmFlags:")) return line + " ";
  }
  return "";
}

TEST(SecretArray, PagesAreLockedAndNotDumped) {
  const SecretArray<std::uint64_t> secret(1000);
  const std::string flags = flags_of(secret.data());
  ASSERT_FALSE(flags.empty());
  EXPECT_NE(flags.find(" dd "), std::string::npos) << flags;
  rlimit limit{};
  ::getrlimit(RLIMIT_MEMLOCK, &limit);
  if (limit.rlim_cur > 1 << 20) {
    EXPECT_NE(flags.find(" lo "), std::string::npos) << flags;
  }
}

TEST(SecretArray, IsAlignedAndZero) {
  for (const std::size_t size : {1, 7, 64, 4096, 65537}) {
    const SecretArray<std::int8_t> a(size);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(a.data()) % 64, 0u) << size;
    for (std::size_t i = 0; i < size; ++i) ASSERT_EQ(a[i], 0);
  }
}

TEST(SecretArray, Moves) {
  SecretArray<int> a(3), b;
  a[1] = 5;
  b = std::move(a);
  EXPECT_EQ(b[1], 5);
  EXPECT_EQ(b.size(), 3u);
}

}  // namespace
}  // namespace sotto
