#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace sotto::images {

/// Bytes of a file from its beginning on. Everything throws Error{bad_input} that names the file.
class ByteStream {
 public:
  virtual ~ByteStream() = default;

  /// Fills dst, or less of it at the end; returns how many bytes it gave.
  virtual std::size_t read(std::span<unsigned char> dst) = 0;
  /// What errors call it.
  [[nodiscard]] virtual const std::string& name() const = 0;

  /// Fills dst; the end of the file is an error.
  void fill(std::span<unsigned char> dst);
  /// Passes over so many bytes, reading them: compressed files have checksums at the end.
  void skip(std::uint64_t bytes);
  /// Refuses a file that goes on.
  void expect_end();
};

/// A regular file, open for reading; several streams may share it.
class InputFile {
 public:
  explicit InputFile(const std::filesystem::path& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  /// Bytes from `offset` on, as many as fit dst and exist.
  [[nodiscard]] std::size_t read_at(std::uint64_t offset, std::span<unsigned char> dst) const;

 private:
  std::string name_;
  int fd_ = -1;
  std::uint64_t bytes_ = 0;
};

/// `bytes` of the file from `offset` on.
std::unique_ptr<ByteStream> stream_of(std::shared_ptr<const InputFile> file, std::uint64_t offset, std::uint64_t bytes);

/// What a compressed stream unfolds to.
enum class Compression { deflate, gzip };
std::unique_ptr<ByteStream> inflated(std::unique_ptr<ByteStream> packed, Compression compression);

/// The whole file, unpacked if it begins as gzip files do.
std::unique_ptr<ByteStream> open_stream(const std::filesystem::path& path);

/// A whole file of at most `most` bytes.
std::vector<unsigned char> read_file(const std::filesystem::path& path, std::uint64_t most);

}  // namespace sotto::images
