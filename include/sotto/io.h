#pragma once

#include <filesystem>
#include <iosfwd>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace sotto {

/// The contents of a Sotto file in memory.
using Bytes = std::vector<unsigned char>;

/// Where a Sotto file is read from: a path, or bytes in memory, which are shared with whoever reads them. Neither may
/// change while something reads it.
class Source {
 public:
  /// A file. It is opened by whoever reads it; that throws Error{bad_input} if there is none.
  Source(std::filesystem::path path) : from_(std::move(path)) {}  // NOLINT(google-explicit-constructor): a name is one
  /// A file.
  Source(const std::string& path) : from_(std::filesystem::path(path)) {}  // NOLINT(google-explicit-constructor)
  /// A file.
  Source(const char* path) : from_(std::filesystem::path(path)) {}  // NOLINT(google-explicit-constructor)
  /// Bytes that are shared, not copied. `name` is what messages call them.
  explicit Source(std::shared_ptr<const Bytes> bytes, std::string name = "the bytes given")
      : from_(std::move(bytes)), name_(std::move(name)) {}
  /// Bytes of which the source has a copy of its own (none is made of what is moved here).
  explicit Source(Bytes bytes, std::string name = "the bytes given")
      : Source(std::make_shared<const Bytes>(std::move(bytes)), std::move(name)) {}

  /// Reads a stream to its end. Throws Error{bad_input} if it breaks off.
  static Source from(std::istream& stream, std::string name = "the stream");

  /// The file's path; null for bytes in memory.
  [[nodiscard]] const std::filesystem::path* path() const { return std::get_if<std::filesystem::path>(&from_); }
  /// The bytes; null for a file.
  [[nodiscard]] std::shared_ptr<const Bytes> bytes() const {
    const auto* b = std::get_if<std::shared_ptr<const Bytes>>(&from_);
    return b == nullptr ? nullptr : *b;
  }
  /// What messages call it.
  [[nodiscard]] std::string name() const { return path() != nullptr ? path()->string() : name_; }

 private:
  std::variant<std::filesystem::path, std::shared_ptr<const Bytes>> from_;
  std::string name_;
};

/// Where a Sotto file is written to. A path gets the whole file at once, at the end: whatever was there stays until
/// then, and for good if the work fails. Bytes are replaced at the end in the same way. A stream gets the file piece by
/// piece, so after an error its reader has the beginning of a file, which no reader of Sotto takes for a whole one.
///
/// Whoever writes throws Error{bad_input} if a file cannot be written, and Error{no_resources} if disk or memory are
/// full or a stream takes no more.
class Sink {
 public:
  /// A file. Its folder must exist.
  Sink(std::filesystem::path path) : to_(std::move(path)) {}  // NOLINT(google-explicit-constructor)
  /// A file.
  Sink(const std::string& path) : to_(std::filesystem::path(path)) {}  // NOLINT(google-explicit-constructor)
  /// A file.
  Sink(const char* path) : to_(std::filesystem::path(path)) {}  // NOLINT(google-explicit-constructor)
  /// Memory, which must outlive whatever writes to it.
  explicit Sink(Bytes& bytes) : to_(&bytes) {}
  /// A stream, which must outlive whatever writes to it.
  explicit Sink(std::ostream& stream) : to_(&stream) {}

  /// The file's path; null for bytes and streams.
  [[nodiscard]] const std::filesystem::path* path() const { return std::get_if<std::filesystem::path>(&to_); }
  [[nodiscard]] Bytes* bytes() const { return pointer<Bytes>(); }                 ///< null for files and streams
  [[nodiscard]] std::ostream* stream() const { return pointer<std::ostream>(); }  ///< null for files and bytes
  /// What messages call it.
  [[nodiscard]] std::string name() const { return path() != nullptr ? path()->string() : "the output"; }

 private:
  template <class T>
  [[nodiscard]] T* pointer() const {
    T* const* p = std::get_if<T*>(&to_);
    return p == nullptr ? nullptr : *p;
  }

  std::variant<std::filesystem::path, Bytes*, std::ostream*> to_;
};

}  // namespace sotto
