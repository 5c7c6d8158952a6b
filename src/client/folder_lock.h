#pragma once

#include <filesystem>
#include <functional>

namespace sotto::client {

/// A folder of keys, held until the end: what is read there and what is written belong together. File systems without
/// locks have none.
class FolderLock {
 public:
  enum class IfHeld { wait, refuse };
  /// Throws Error{bad_input}, or Error{no_resources} where the system lacks descriptors, if the folder cannot be
  /// opened; Error{usage} if another program holds it and this is not to wait. waiting() is called now and then while
  /// it waits; what it throws ends that.
  explicit FolderLock(const std::filesystem::path& folder, IfHeld if_held, const std::function<void()>& waiting = {});
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int fd_;
};

}  // namespace sotto::client
