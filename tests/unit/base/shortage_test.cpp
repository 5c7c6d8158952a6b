// What the system has too little of is no fault of the file that was asked for.
#include "base/shortage.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "base/file.h"

namespace sotto {
namespace {

TEST(Shortage, ErrorsOfTheSystem) {
  for (const int error : {ENOMEM, EMFILE, ENFILE, EAGAIN}) EXPECT_EQ(code_of(error), ErrorCode::no_resources) << error;
  for (const int error : {ENOENT, EACCES, EISDIR, EIO}) EXPECT_EQ(code_of(error), ErrorCode::bad_input) << error;
}

TEST(Shortage, AFileIsNotOpenedForWantOfADescriptor) {
  EXPECT_FALSE(open_to_read("/nowhere/file"));
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{0, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  std::error_code code;
  try {
    (void)open_to_read("/proc/self/status");
  } catch (const std::filesystem::filesystem_error& e) {
    code = e.code();
    EXPECT_EQ(e.path1(), "/proc/self/status");
  }
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(code, std::errc::too_many_files_open);
  EXPECT_TRUE(open_to_read("/proc/self/status"));
}

}  // namespace
}  // namespace sotto
