// One program at a time has a folder of keys.
#include "client/folder_lock.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "support/expect_error.h"
#include "support/files.h"

namespace sotto::client {
namespace {

TEST(FolderLock, OthersWaitOrAreRefused) {
  const test::TempFolder folder;
  std::atomic<bool> had = false;
  std::thread other;
  {
    const FolderLock lock(folder.path(), FolderLock::IfHeld::refuse);
    EXPECT_TRUE(test::fails_with([&] { const FolderLock second(folder.path(), FolderLock::IfHeld::refuse); },
                                 ErrorCode::usage));
    other = std::thread([&] {
      const FolderLock second(folder.path(), FolderLock::IfHeld::wait);
      had = true;
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_FALSE(had);
  }
  other.join();
  EXPECT_TRUE(had);
  EXPECT_NO_THROW(FolderLock(folder.path(), FolderLock::IfHeld::refuse)) << "free again";
}

TEST(FolderLock, WaitingCanBeEnded) {
  const test::TempFolder folder;
  const FolderLock lock(folder.path(), FolderLock::IfHeld::refuse);
  int asked = 0;
  const auto stop = [&] {
    if (++asked == 3) throw Error(ErrorCode::interrupted, "stopped");
  };
  EXPECT_TRUE(test::fails_with([&] { const FolderLock second(folder.path(), FolderLock::IfHeld::wait, stop); },
                               ErrorCode::interrupted));
  EXPECT_EQ(asked, 3);
}

TEST(FolderLock, FoldersThatCannotBeOpened) {
  const test::TempFolder folder;
  test::write_text(folder / "file", "");
  for (const char* name : {"none", "file"})
    EXPECT_TRUE(
        test::fails_with([&] { const FolderLock lock(folder / name, FolderLock::IfHeld::wait); }, ErrorCode::bad_input))
        << name;
}

}  // namespace
}  // namespace sotto::client
