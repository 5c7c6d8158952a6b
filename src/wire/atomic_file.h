#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string_view>

#include "wire/format.h"

namespace sotto::wire {

/// Who may read a file.
enum class Access {
  everyone,
  owner_only,      ///< mode 0600
  secret_key,      ///< mode 0600; the only kind of file that may replace a secret key
  new_secret_key,  ///< mode 0600; never replaces anything, not even what appears while it is written
};

/// Whether a path stands for the standard output: "-", "/dev/stdout" and its other names. Texts can go there
/// (write_file), files cannot.
bool is_standard_output(const std::filesystem::path& path);

/// Where a file of this name is written: links are followed, also one to a file that does not exist yet, so that they
/// stay links. Throws Error{bad_input} for one that stands for an open file (/dev/fd/3) or leads in a circle.
std::filesystem::path output_target(const std::filesystem::path& path);

/// Writes bytes to a temporary file beside `path` (or what it is a link to), which `commit` renames to that. Without a
/// commit the temporary file is removed (unless it is to be kept) and an older file at `path` stays as it was. What
/// programs that were killed left beside `path` is removed first.
class AtomicFile {
 public:
  /// The name of the temporary file.
  enum class Temporary {
    fresh,      ///< a new one
    continued,  ///< `path`.part, which may be there already from an earlier run; only one process can have it
  };
  /// Throws Error{bad_input} if the file cannot be made, or if something is there that must not be replaced: a folder,
  /// a pipe or device, a secret key, a Sotto file of another kind than the one to be written (if any). Throws
  /// Error{usage} for the standard output.
  AtomicFile(std::filesystem::path path, Access access, std::optional<Kind> kind = std::nullopt,
             Temporary temporary = Temporary::fresh);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Throws Error{no_resources} when the disk is full. Unbuffered: nothing of the data stays in memory.
  void write(std::span<const unsigned char> data);
  /// Brings everything to the disk, the name in its folder, too. Throws Error{usage} if a new secret key would replace
  /// something.
  void commit();

  /// Brings everything to the disk and keeps the temporary file even without a commit.
  void keep();

  /// What is there of an earlier run: bytes from `offset`, as many as fit `dst` and exist.
  [[nodiscard]] std::size_t read_at(std::uint64_t offset, std::span<unsigned char> dst) const;
  /// Forgets what lies behind the first `size` bytes; writing goes on there.
  void truncate(std::uint64_t size);

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] const std::filesystem::path& temporary() const { return temporary_; }

 private:
  void take_name();

  std::filesystem::path path_, target_, temporary_;
  Access access_;
  int fd_ = -1;
  bool kept_ = false;
};

/// Writes a text or picture that needs no container: atomically, or to the standard output.
void write_file(const std::filesystem::path& path, std::string_view contents);

}  // namespace sotto::wire
