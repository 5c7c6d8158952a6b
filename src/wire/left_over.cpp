#include "wire/left_over.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <memory>
#include <string>
#include <string_view>

namespace sotto::wire {

namespace {

bool is_number(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
}

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};

// Whether a file's name is that of a temporary file of `target`.
bool is_temporary(std::string_view name, std::string_view target) {
  constexpr std::string_view kEnd = ".tmp";
  if (name.size() <= target.size() + 1 + kEnd.size() || !name.starts_with(target) || name[target.size()] != '.' ||
      !name.ends_with(kEnd))
    return false;
  const std::string_view numbers = name.substr(target.size() + 1, name.size() - target.size() - 1 - kEnd.size());
  const std::size_t dash = numbers.find('-');
  return dash != std::string_view::npos && is_number(numbers.substr(0, dash)) && is_number(numbers.substr(dash + 1));
}

}  // namespace

bool mark_in_use(int fd) {
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) return errno != EWOULDBLOCK;
  struct stat info {};
  return ::fstat(fd, &info) != 0 || info.st_nlink > 0;
}

void remove_left_over(const std::filesystem::path& target) {
  // Not std::filesystem's iterator, which ends the program where memory runs out.
  const std::filesystem::path folder = target.has_parent_path() ? target.parent_path() : ".";
  const std::string name = target.filename().string();
  const std::unique_ptr<DIR, CloseFolder> open(::opendir(folder.c_str()));
  if (!open) return;
  const int at = ::dirfd(open.get());
  while (const dirent* entry = ::readdir(open.get())) {
    if (!is_temporary(entry->d_name, name)) continue;
    const int fd = ::openat(at, entry->d_name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) continue;
    struct stat info {};
    if (::fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && ::flock(fd, LOCK_EX | LOCK_NB) == 0)
      ::unlinkat(at, entry->d_name, 0);
    ::close(fd);
  }
}

}  // namespace sotto::wire
