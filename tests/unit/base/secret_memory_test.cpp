// Secrets lie in pages of their own, which no core dump holds, and are wiped.
#include "base/secret_memory.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <string>
#include <utility>

namespace {

std::uintptr_t watched = 0;   // an address
int returned = 0, wiped = 0;  // how often its page was given back, and was zero from there on

}  // namespace

// In the place of the system's, also for libsodium: looks at memory that is given back.
extern "C" int munmap(void* start, std::size_t length) noexcept {
  const auto first = reinterpret_cast<std::uintptr_t>(start), end = first + length;
  if (watched >= first && watched < end) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(watched);
    const std::size_t rest = std::min<std::size_t>(end - watched, 4096 - watched % 4096);
    ++returned;
    wiped += std::all_of(bytes, bytes + rest, [](unsigned char b) { return b == 0; });
  }
  return static_cast<int>(::syscall(SYS_munmap, start, length));
}

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

TEST(SecretArray, IsWipedWhenItIsFreed) {
  const auto filled = [] {
    SecretArray<std::uint64_t> a(1024);
    std::fill_n(a.data(), a.size(), 0x5e5e5e5e5e5e5e5eu);
    return a;
  };
  returned = wiped = 0;
  {
    const SecretArray<std::uint64_t> a = filled();
    watched = reinterpret_cast<std::uintptr_t>(a.data());
  }
  EXPECT_EQ(returned, 1);
  EXPECT_EQ(wiped, 1) << "at the end of its life";
  SecretArray<std::uint64_t> b = filled();
  watched = reinterpret_cast<std::uintptr_t>(b.data());
  b = filled();
  EXPECT_EQ(returned, 2);
  EXPECT_EQ(wiped, 2) << "when another one takes its place";
  watched = 0;
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
