#include "wire/writer.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <set>
#include <utility>

#include "base/error.h"
#include "wire/reader.h"

namespace sotto::wire {

std::string_view name_of(Kind kind) {
  switch (kind) {
    case Kind::plan:
      return "plan";
    case Kind::client:
      return "client description";
    case Kind::secret_key:
      return "secret key";
    case Kind::eval_key:
      return "evaluation key";
    case Kind::input:
      return "encrypted input";
    case Kind::output:
      return "encrypted output";
  }
  return "unknown";
}

namespace {

[[noreturn]] void fail(const std::filesystem::path& path, const char* verb, int error) {
  const bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  throw Error(full ? ErrorCode::no_resources : ErrorCode::bad_input,
              std::string("cannot ") + verb + " " + path.string() + ": " + std::strerror(error) +
                  (full ? "; free some space or choose another place" : ""));
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
    : path_(std::move(path)) {
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
    const bool ours = !other && ::flock(fd_, LOCK_EX | LOCK_NB) == 0 && ::lstat(temporary_.c_str(), &named) == 0 &&
                      named.st_ino == status.st_ino && named.st_dev == status.st_dev;
    if (!ours) {
      if (fd_ >= 0) ::close(std::exchange(fd_, -1));
      throw Error(ErrorCode::bad_input, "cannot write " + temporary_.string() + ": " +
                                            (other ? "it is not a regular file" : "another run is writing it"));
    }
    kept_ = status.st_size > 0;
    return;
  }
  for (int attempt = 0; attempt < 100 && fd_ < 0; ++attempt) {
    temporary_ = target_;
    temporary_ += "." + std::to_string(::getpid()) + "-" + std::to_string(attempt) + ".tmp";
    fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd_ < 0 && errno != EEXIST) fail(path_, "write", errno);
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

void AtomicFile::commit() {
  check(fd_ >= 0, "a file was committed twice");
  // Special files such as pipes cannot be synchronised, but those are never the temporary file.
  if (::fsync(fd_) != 0) fail(path_, "write", errno);
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) fail(path_, "write", errno);
  ::close(fd_);
  fd_ = -1;
}

void AtomicFile::keep() {
  if (::fsync(fd_) != 0) fail(path_, "write", errno);
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

void require_writable(const std::filesystem::path& path, std::optional<Kind> kind) {
  if (!path.empty()) AtomicFile(path, Access::everyone, kind);
}

bool require_outputs(std::span<const std::string> files, std::span<const std::string> texts) {
  std::set<std::filesystem::path> seen;
  bool standard = false;
  const auto add = [&](const std::string& path, bool text) {
    if (path.empty()) return;
    const bool streamed = text && is_standard_output(path);
    standard = standard || streamed;
    if (!streamed) require_writable(path);
    const auto place =
        streamed ? "-" : std::filesystem::weakly_canonical(std::filesystem::absolute(output_target(path)));
    if (!seen.insert(place).second) throw Error(ErrorCode::usage, path + " is named for two outputs");
  };
  for (const std::string& path : files) add(path, false);
  for (const std::string& path : texts) add(path, true);
  return standard;
}

namespace {

bool is_picture(const std::filesystem::path& path) {
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return ending == ".png" || ending == ".jpg" || ending == ".jpeg";
}

}  // namespace

void require_kept(std::span<const std::string> inputs, std::span<const std::string> outputs) {
  std::error_code none;
  for (const std::string& output : outputs) {
    if (output.empty() || !std::filesystem::is_regular_file(output, none)) continue;
    const auto target = std::filesystem::canonical(output, none);
    for (const std::string& input : inputs) {
      if (input.empty() || !std::filesystem::exists(input, none)) continue;
      const auto source = std::filesystem::canonical(input, none);
      const auto [end, rest] = std::mismatch(source.begin(), source.end(), target.begin(), target.end());
      if (end == source.end() && (rest == target.end() || is_picture(target)))
        throw Error(ErrorCode::usage, output + " is an input, too, and would be replaced; name another output");
    }
  }
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

FileWriter::FileWriter(const std::filesystem::path& path, Kind kind, nlohmann::json header,
                       std::vector<std::uint64_t> section_bytes, Access access, std::size_t sections_per_unit)
    : file_(path, access, kind,
            sections_per_unit > 0 ? AtomicFile::Temporary::continued : AtomicFile::Temporary::fresh),
      sections_(std::move(section_bytes)),
      unit_(sections_per_unit) {
  check(sodium_init() >= 0, "libsodium does not start");
  header["sections"] = sections_;
  const std::string text = [&] {
    try {
      return header.dump();
    } catch (const nlohmann::json::exception&) {
      throw Error(ErrorCode::bad_input, "cannot write " + path.string() + ": a name in it is not UTF-8 text");
    }
  }();
  check(text.size() <= kMaxHeaderBytes, "a file header is too long");
  unsigned char preamble[kPreambleBytes];
  const auto version = kVersion;
  const auto number = static_cast<std::uint32_t>(kind);
  const auto length = static_cast<std::uint64_t>(text.size());
  std::memcpy(preamble, kMagic.data(), 8);
  std::memcpy(preamble + 8, &version, 4);
  std::memcpy(preamble + 12, &number, 4);
  std::memcpy(preamble + 16, &length, 8);
  crypto_generichash_init(&hash_, nullptr, 0, kChecksumBytes);
  crypto_generichash_update(&hash_, preamble, 24);
  crypto_generichash_update(&hash_, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  crypto_generichash_final(&hash_, header_checksum_.data(), kChecksumBytes);
  std::memcpy(preamble + 24, header_checksum_.data(), kChecksumBytes);
  std::vector<unsigned char> start(preamble, preamble + sizeof preamble);
  start.insert(start.end(), text.begin(), text.end());
  if (unit_ > 0) continue_after(start);
  if (section_ == 0) file_.write(start);
  begin_section();
  close_full_sections();
}

// Finds the units that an earlier run has finished.
void FileWriter::continue_after(std::span<const unsigned char> start) {
  std::vector<unsigned char> there(start.size());
  const std::size_t read = file_.read_at(0, there);
  if (!std::equal(there.begin(), there.begin() + static_cast<std::ptrdiff_t>(read), start.begin()))
    throw Error(ErrorCode::wrong_key, file_.temporary().string() +
                                          " holds unfinished results of other work (another plan, key or input); "
                                          "finish that or move the file away");
  std::uint64_t offset = start.size(), unit_end = 0;
  std::size_t finished = 0;
  for (section_ = 0; section_ < sections_.size() && read == start.size() && section_is_whole(offset);) {
    offset += sections_[section_] + kChecksumBytes;
    if (++section_ % unit_ != 0) continue;
    finished = section_;
    unit_end = offset;
  }
  section_ = finished;
  file_.truncate(unit_end);
}

bool FileWriter::section_is_whole(std::uint64_t offset) {
  begin_section();
  std::vector<unsigned char> piece(std::size_t{1} << 20);
  const std::uint64_t end = offset + sections_[section_];
  while (offset < end) {
    const auto part = std::span(piece).first(std::min<std::uint64_t>(piece.size(), end - offset));
    if (file_.read_at(offset, part) != part.size()) return false;
    crypto_generichash_update(&hash_, part.data(), part.size());
    offset += part.size();
  }
  unsigned char stored[kChecksumBytes], computed[kChecksumBytes];
  crypto_generichash_final(&hash_, computed, kChecksumBytes);
  return file_.read_at(end, stored) == kChecksumBytes && sodium_memcmp(stored, computed, kChecksumBytes) == 0;
}

// The checksum of a section covers the header's, so that sections cannot move between files or places unnoticed.
void FileWriter::begin_section() {
  filled_ = 0;
  const auto index = static_cast<std::uint64_t>(section_);
  crypto_generichash_init(&hash_, header_checksum_.data(), kChecksumBytes, kChecksumBytes);
  crypto_generichash_update(&hash_, reinterpret_cast<const unsigned char*>(&index), sizeof index);
}

void FileWriter::close_full_sections() {
  while (section_ < sections_.size() && filled_ == sections_[section_]) {
    unsigned char checksum[kChecksumBytes];
    crypto_generichash_final(&hash_, checksum, kChecksumBytes);
    file_.write(checksum);
    ++section_;
    if (unit_ > 0 && section_ % unit_ == 0) file_.keep();
    begin_section();
  }
}

void FileWriter::write(std::span<const unsigned char> data) {
  while (!data.empty()) {
    check(section_ < sections_.size(), "a file got more sections than announced");
    const auto part = data.first(std::min<std::uint64_t>(data.size(), sections_[section_] - filled_));
    crypto_generichash_update(&hash_, part.data(), part.size());
    file_.write(part);
    filled_ += part.size();
    data = data.subspan(part.size());
    close_full_sections();
  }
}

void FileWriter::commit() {
  check(section_ == sections_.size(), "a file got fewer sections than announced");
  file_.commit();
}

}  // namespace sotto::wire
