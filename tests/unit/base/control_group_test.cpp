// Limits of control groups, from files as the kernel shows them.
#include "base/control_group.h"

#include <gtest/gtest.h>

#include "support/files.h"

namespace sotto {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

class Groups : public ::testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) {
    std::filesystem::create_directories((root / name).parent_path());
    test::write_text(root / name, text);
  }
  void second(const std::string& group, const std::string& limit, std::uint64_t usage, std::uint64_t cache = 0) {
    write("sys/fs/cgroup" + group + "/memory.max", limit + "\n");
    write("sys/fs/cgroup" + group + "/memory.current", std::to_string(usage));
    write("sys/fs/cgroup" + group + "/memory.stat", "anon 5\ninactive_file " + std::to_string(cache) + "\nslab 7\n");
  }
  void mounted(const std::string& group, const std::string& type = "cgroup2 cgroup rw") {
    write("proc/self/mountinfo",
          "22 1 0:21 / /proc rw,nosuid shared:5 - proc proc rw\n"
          "30 23 0:26 " +
              group + " /sys/fs/cgroup ro,nosuid shared:9 master:1 - " + type + "\n");
  }
  [[nodiscard]] GroupMemory found() const { return group_memory(root.path()).value_or(GroupMemory{}); }

  test::TempFolder root;
};

TEST_F(Groups, TheLeastOnTheWayCounts) {
  mounted("/");
  write("proc/self/cgroup", "0::/user.slice/job/step\n");
  second("/user.slice", std::to_string(900 * kMiB), 850 * kMiB);
  second("/user.slice/job", std::to_string(500 * kMiB), 100 * kMiB, 40 * kMiB);
  second("/user.slice/job/step", "max", 90 * kMiB);
  EXPECT_EQ(found().limit, 500 * kMiB);
  EXPECT_EQ(found().available, 50 * kMiB) << "of the group above, which others fill";
  second("/user.slice", "max", 850 * kMiB);
  EXPECT_EQ(found().available, 440 * kMiB) << "pages of files can be dropped";
  write("sys/fs/cgroup/user.slice/job/step/memory.high", std::to_string(200 * kMiB));
  EXPECT_EQ(found().limit, 200 * kMiB);
  EXPECT_EQ(found().available, 110 * kMiB);
  second("/user.slice/job/step", std::to_string(50 * kMiB), 90 * kMiB);
  EXPECT_EQ(found().available, 0u) << "over its limit already";
}

TEST_F(Groups, ContainersSeeTheirOwnGroupAsTheRoot) {
  second("", std::to_string(300 * kMiB), 100 * kMiB);
  // Named from outside, from inside, and as a group that cannot be seen.
  for (const auto& [group, mount] : {std::pair("/docker/abc", "/docker/abc"), std::pair("/", "/"),
                                     std::pair("/docker/abc", "/docker/other"), std::pair("/../x", "/")}) {
    mounted(mount);
    write("proc/self/cgroup", std::string("0::") + group + "\n");
    EXPECT_EQ(found().limit, 300 * kMiB) << group << " " << mount;
    EXPECT_EQ(found().available, 200 * kMiB);
  }
}

TEST_F(Groups, Version1) {
  mounted("/", "cgroup cgroup rw,blkio,memory");
  write("proc/self/cgroup", "9:cpu,cpuacct:/x\n4:blkio,memory:/a/b\n1:name=systemd:/\n");
  write("sys/fs/cgroup/memory.limit_in_bytes", "9223372036854771712\n");
  write("sys/fs/cgroup/a/memory.limit_in_bytes", std::to_string(400 * kMiB));
  write("sys/fs/cgroup/a/memory.usage_in_bytes", std::to_string(100 * kMiB));
  write("sys/fs/cgroup/a/memory.stat", "inactive_file 1\ntotal_inactive_file " + std::to_string(30 * kMiB));
  write("sys/fs/cgroup/a/b/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(found().limit, 400 * kMiB);
  EXPECT_EQ(found().available, 330 * kMiB);
}

TEST_F(Groups, NoLimits) {
  EXPECT_EQ(group_memory(root.path()), std::nullopt) << "no such files";
  mounted("/");
  write("proc/self/cgroup", "0::/a\n");
  second("/a", "max", 100);
  EXPECT_EQ(group_memory(root.path()), std::nullopt);
  write("proc/self/cgroup", "nonsense\n:\n0::\n\n");
  write("proc/self/mountinfo", "\n1 2\n- cgroup2\n");
  EXPECT_EQ(group_memory(root.path()), std::nullopt);
}

}  // namespace
}  // namespace sotto
