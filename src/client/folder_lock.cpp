#include "client/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "base/error.h"
#include "base/shortage.h"

namespace sotto::client {

FolderLock::FolderLock(const std::filesystem::path& folder, IfHeld if_held, const std::function<void()>& waiting)
    : fd_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  constexpr std::chrono::milliseconds kPause(20);
  if (fd_ < 0) throw Error(code_of(errno), "cannot open the folder " + folder.string() + ": " + std::strerror(errno));
  try {
    // A lock that is waited for in the kernel would keep signals waiting, too.
    while (::flock(fd_, LOCK_EX | LOCK_NB) != 0 && (errno == EWOULDBLOCK || errno == EINTR)) {
      if (if_held == IfHeld::refuse && errno == EWOULDBLOCK)
        throw Error(ErrorCode::usage, "another program is making keys in " + folder.string() + "; wait for its end");
      if (waiting) waiting();
      std::this_thread::sleep_for(kPause);
    }
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

FolderLock::~FolderLock() { ::close(fd_); }

}  // namespace sotto::client
