#include "client/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/shortage.h"

namespace sotto::client {

FolderLock::FolderLock(const std::filesystem::path& folder, IfHeld if_held)
    : fd_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  if (fd_ < 0) throw Error(code_of(errno), "cannot open the folder " + folder.string() + ": " + std::strerror(errno));
  const int how = if_held == IfHeld::wait ? LOCK_EX : LOCK_EX | LOCK_NB;
  int error = 0;
  do {
    error = ::flock(fd_, how) == 0 ? 0 : errno;
  } while (error == EINTR);
  if (error != EWOULDBLOCK) return;
  ::close(fd_);
  throw Error(ErrorCode::usage, "another program is making keys in " + folder.string() + "; wait for its end");
}

FolderLock::~FolderLock() { ::close(fd_); }

}  // namespace sotto::client
