#include "wire/atomic_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/shortage.h"
#include "wire/left_over.h"
#include "wire/reader.h"

namespace sotto::wire {

namespace {

[[noreturn]] void fail(const std::filesystem::path& path, const char* verb, int error) {
  const bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  throw Error(full ? ErrorCode::no_resources : code_of(error),
              std::string("cannot ") + verb + " " + path.string() + ": " + std::strerror(error) +
                  (full ? "; free some space or choose another place" : ""));
}

}  // namespace

namespace {

// Whether a file would lie among the notes of a folder of keys: one that is replaced or added takes effect there.
bool is_record_of_keys(const std::filesystem::path& target) {
  std::error_code unknown;
  const auto folder =
      std::filesystem::weakly_canonical(std::filesystem::absolute(target, unknown), unknown).parent_path();
  const std::string name = folder.filename().string();
  return (name == "inputs" || name == "plans" || name == "releases") &&
         std::filesystem::exists(folder.parent_path() / "secret.key", unknown);
}

}  // namespace

bool is_standard_output(const std::filesystem::path& path) {
  constexpr std::array kNames = {"-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"};
  return std::any_of(kNames.begin(), kNames.end(), [&](const char* name) { return path == name; });
}

std::filesystem::path output_target(const std::filesystem::path& path) {
  namespace fs = std::filesystem;
  constexpr int kMostLinks = 40;  // as the kernel allows
  std::error_code none;
  fs::path target = path;
  const auto refuse = [&](const char* what) {
    throw Error(ErrorCode::bad_input, "cannot write " + path.string() + ": " + what);
  };
  for (int links = 0; fs::is_symlink(fs::symlink_status(target, none)); ++links) {
    if (links == kMostLinks) refuse("its links lead in a circle");
    // Links of /proc are no places: a file put there would replace nothing.
    if (fs::weakly_canonical(fs::absolute(target).parent_path(), none).string().starts_with("/proc/"))
      refuse("it stands for a file that is open; name that file");
    const fs::path next = fs::read_symlink(target, none);
    if (none) fail(path, "write", none.value());
    target = target.parent_path() / next;  // an absolute path stays what it is
  }
  return target;
}

AtomicFile::AtomicFile(std::filesystem::path path, Access access, std::optional<Kind> kind, Temporary temporary)
    : path_(std::move(path)), access_(access) {
  const mode_t mode = access == Access::everyone ? 0644 : 0600;
  if (is_standard_output(path_))
    throw Error(ErrorCode::usage, "'" + path_.string() +
                                      "' is the standard output, which only takes texts; name a file" +
                                      (path_ == "-" ? " (./- for one of that name)" : ""));
  std::error_code unknown;
  const auto there = std::filesystem::status(path_, unknown);
  const auto refuse = [&](const std::string& what) {
    throw Error(ErrorCode::bad_input, "cannot write " + path_.string() + ": " + what);
  };
  if (std::filesystem::is_directory(there)) refuse("it is a folder");
  if (std::filesystem::exists(there) && !std::filesystem::is_regular_file(there)) refuse("it is not a regular file");
  target_ = output_target(path_);
  if (access != Access::secret_key && kind_of(path_) == Kind::secret_key)
    refuse("it is a secret key, which only new keys may replace, and only if that is asked for");
  if (const auto other = kind_of(path_); other && other != kind && access != Access::secret_key)
    refuse("it is a Sotto file (" + std::string(name_of(*other)) + "), which another kind of output may not replace");
  if (access == Access::everyone && is_record_of_keys(target_)) refuse("what is noted beside a secret key lies there");
  if (temporary == Temporary::continued) {
    temporary_ = target_;
    temporary_ += ".part";
    fd_ = ::open(temporary_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, mode);
    struct stat status {
    }, named{};
    const bool other = fd_ < 0 ? errno == ELOOP || errno == EISDIR || errno == ENXIO
                               : ::fstat(fd_, &status) != 0 || !S_ISREG(status.st_mode);
    if (fd_ < 0 && !other) fail(temporary_, "write", errno);
    // The name must still be that of the file which is locked: a run that just ended may have taken it away.
    // Where the file system has no locks, nobody is known to hold one.
    const bool free = !other && (::flock(fd_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK);
    const bool ours = free && ::lstat(temporary_.c_str(), &named) == 0 && named.st_ino == status.st_ino &&
                      named.st_dev == status.st_dev;
    if (!ours) {
      if (fd_ >= 0) ::close(std::exchange(fd_, -1));
      throw Error(ErrorCode::bad_input, "cannot write " + temporary_.string() + ": " +
                                            (other ? "it is not a regular file" : "another run is writing it"));
    }
    // What is there is believed, and signed in the end: nobody else may have written it.
    if (status.st_uid != ::geteuid() || status.st_nlink != 1 || (status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
      ::close(std::exchange(fd_, -1));
      throw Error(ErrorCode::bad_input, "cannot continue " + temporary_.string() +
                                            ": another user may have written it; remove it to start anew");
    }
    kept_ = status.st_size > 0;
    return;
  }
  remove_left_over(target_);
  for (int attempt = 0; attempt < 100 && fd_ < 0; ++attempt) {
    temporary_ = target_;
    temporary_ += "." + std::to_string(::getpid()) + "-" + std::to_string(attempt) + ".tmp";
    fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd_ < 0 && errno != EEXIST) fail(path_, "write", errno);
    if (fd_ >= 0 && !mark_in_use(fd_)) ::close(std::exchange(fd_, -1));
  }
  if (fd_ < 0) fail(path_, "write", EEXIST);
}

AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  if (!kept_) ::unlink(temporary_.c_str());
  ::close(fd_);
}

void AtomicFile::write(std::span<const unsigned char> data) {
  while (!data.empty()) {
    const ssize_t done = ::write(fd_, data.data(), data.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) fail(path_, "write", errno);
    data = data.subspan(static_cast<std::size_t>(done));
  }
}

namespace {

// Brings the names in the folder of a file to the disk. Some file systems cannot, and some folders may not be read.
void sync_folder_of(const std::filesystem::path& file) {
  const std::filesystem::path folder = file.has_parent_path() ? file.parent_path() : ".";
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  const int error = ::fsync(fd) != 0 ? errno : 0;
  ::close(fd);
  if (error == EIO || error == ENOSPC || error == EDQUOT) fail(file, "write", error);
}

}  // namespace

// Gives the temporary file its name.
void AtomicFile::take_name() {
  if (access_ != Access::new_secret_key) {
    if (::rename(temporary_.c_str(), target_.c_str()) != 0) fail(path_, "write", errno);
    return;
  }
  if (::renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, target_.c_str(), RENAME_NOREPLACE) == 0) return;
  // Not every file system knows that; all know that a link replaces nothing.
  if ((errno == EINVAL || errno == ENOSYS) && ::link(temporary_.c_str(), target_.c_str()) == 0) {
    ::unlink(temporary_.c_str());
    return;
  }
  if (errno == EEXIST)
    throw Error(ErrorCode::usage, path_.string() + " exists now: another program wrote it; it stays as it is");
  fail(path_, "write", errno);
}

void AtomicFile::commit() {
  check(fd_ >= 0, "a file was committed twice");
  // Special files such as pipes cannot be synchronised, but those are never the temporary file.
  if (::fsync(fd_) != 0) fail(path_, "write", errno);
  take_name();
  ::close(fd_);
  fd_ = -1;
  sync_folder_of(target_);
}

void AtomicFile::keep() {
  if (::fsync(fd_) != 0) fail(path_, "write", errno);
  if (!kept_) sync_folder_of(temporary_);
  kept_ = true;
}

std::size_t AtomicFile::read_at(std::uint64_t offset, std::span<unsigned char> dst) const {
  std::size_t filled = 0;
  while (filled < dst.size()) {
    const ssize_t done = ::pread(fd_, dst.data() + filled, dst.size() - filled, static_cast<off_t>(offset + filled));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) fail(temporary_, "read", errno);
    if (done == 0) break;
    filled += static_cast<std::size_t>(done);
  }
  return filled;
}

void AtomicFile::truncate(std::uint64_t size) {
  if (::ftruncate(fd_, static_cast<off_t>(size)) != 0 || ::lseek(fd_, static_cast<off_t>(size), SEEK_SET) < 0)
    fail(temporary_, "write", errno);
  kept_ = kept_ && size > 0;
}

void write_file(const std::filesystem::path& path, std::string_view contents) {
  if (is_standard_output(path)) {
    if (std::fwrite(contents.data(), 1, contents.size(), stdout) != contents.size() || std::fflush(stdout) != 0)
      throw Error(ErrorCode::no_resources, "cannot write to the standard output");
    return;
  }
  AtomicFile file(path, Access::everyone);
  file.write({reinterpret_cast<const unsigned char*>(contents.data()), contents.size()});
  file.commit();
}

}  // namespace sotto::wire
