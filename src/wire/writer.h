#pragma once

#include <sodium.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "wire/format.h"

namespace sotto::wire {

/// Who may read a file.
enum class Access {
  everyone,
  owner_only,  ///< mode 0600
  secret_key,  ///< mode 0600; the only kind of file that may replace a secret key
};

/// Whether a path stands for the standard output: "-", "/dev/stdout" and its other names. Texts can go there
/// (write_file), files cannot.
bool is_standard_output(const std::filesystem::path& path);

/// Where a file of this name is written: links are followed, also one to a file that does not exist yet, so that they
/// stay links. Throws Error{bad_input} for one that stands for an open file (/dev/fd/3) or leads in a circle.
std::filesystem::path output_target(const std::filesystem::path& path);

/// Writes bytes to a temporary file beside `path` (or what it is a link to), which `commit` renames to that. Without a
/// commit the temporary file is removed (unless it is to be kept) and an older file at `path` stays as it was.
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
  /// Brings everything to the disk and gives the file its name.
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
  std::filesystem::path path_, target_, temporary_;
  int fd_ = -1;
  bool kept_ = false;
};

/// Throws Error{bad_input} unless a file, of that kind, could be written there now. An empty path passes.
void require_writable(const std::filesystem::path& path, std::optional<Kind> kind = std::nullopt);

/// Throws Error{bad_input} unless every path (empty ones apart) can be written, Error{usage} if two are the same file.
/// Only `texts` may be the standard output. Returns whether one of them is: then nothing else belongs there.
bool require_outputs(std::span<const std::string> files, std::span<const std::string> texts);

/// Throws Error{usage} if one of the outputs is there already and is one of the files that are read, or a picture in
/// one of the folders. Names that are no paths, and empty ones, are passed over.
void require_kept(std::span<const std::string> inputs, std::span<const std::string> outputs);

/// Writes a text or picture that needs no container: atomically, or to the standard output.
void write_file(const std::filesystem::path& path, std::string_view contents);

/// Writes one Sotto file: a JSON header, then sections of known length, each followed by its checksum
/// (docs/formats/container.md).
class FileWriter {
 public:
  /// section_bytes: the length of every section. The header gets a member "sections" with these.
  ///
  /// sections_per_unit: 0, or for long work the sections of a unit of it. Finished units are then kept when the work is
  /// interrupted, in `path`.part, and a writer with the same header and sections continues behind them. Throws
  /// Error{wrong_key} if that file belongs to other work.
  FileWriter(const std::filesystem::path& path, Kind kind, nlohmann::json header,
             std::vector<std::uint64_t> section_bytes, Access access = Access::everyone,
             std::size_t sections_per_unit = 0);

  /// Sections that are there already, at first those of an earlier run.
  [[nodiscard]] std::size_t finished() const { return section_; }

  /// Appends to the current section; a full section closes by itself and the next one begins.
  void write(std::span<const unsigned char> data);
  /// Checks that every section is full, then gives the file its name.
  void commit();

 private:
  void begin_section();
  void close_full_sections();
  void continue_after(std::span<const unsigned char> start);
  [[nodiscard]] bool section_is_whole(std::uint64_t offset);

  AtomicFile file_;
  std::vector<std::uint64_t> sections_;
  std::array<unsigned char, kChecksumBytes> header_checksum_{};
  std::size_t section_ = 0, unit_ = 0;
  std::uint64_t filled_ = 0;
  crypto_generichash_state hash_{};
};

}  // namespace sotto::wire
