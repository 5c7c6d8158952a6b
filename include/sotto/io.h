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
  Source(std::filesystem::path path) : from_(std::move(path)) {}  // NOLINT(google-explicit-constructor): a name is one
  Source(const std::string& path) : from_(std::filesystem::path(path)) {}  // NOLINT(google-explicit-constructor)
  Source(const char* path) : from_(std::filesystem::path(path)) {}         // NOLINT(google-explicit-constructor)
  /// name: what messages call them.
  explicit Source(std::shared_ptr<const Bytes> bytes, std::string name = "the bytes given")
      : from_(std::move(bytes)), name_(std::move(name)) {}
  /// A copy of the bytes.
  explicit Source(Bytes bytes, std::string name = "the bytes given")
      : Source(std::make_shared<const Bytes>(std::move(bytes)), std::move(name)) {}

  /// Reads a stream to its end. Throws Error{bad_input} if it breaks off.
  static Source from(std::istream& stream, std::string name = "the stream");

  /// Nothing for bytes in memory.
  [[nodiscard]] const std::filesystem::path* path() const { return std::get_if<std::filesystem::path>(&from_); }
  /// Nothing for a path.
  [[nodiscard]] std::shared_ptr<const Bytes> bytes() const {
    const auto* b = std::get_if<std::shared_ptr<const Bytes>>(&from_);
    return b == nullptr ? nullptr : *b;
  }
  [[nodiscard]] std::string name() const { return path() != nullptr ? path()->string() : name_; }

 private:
  std::variant<std::filesystem::path, std::shared_ptr<const Bytes>> from_;
  std::string name_;
};

/// Where a Sotto file is written to. A path gets the whole file at once, at the end: whatever was there stays until
/// then, and for ever if the work fails. Bytes are replaced at the end in the same way. A stream gets the file piece by
/// piece, so after an error its reader has the beginning of a file, which no reader of Sotto takes for a whole one.
class Sink {
 public:
  Sink(std::filesystem::path path) : to_(std::move(path)) {}           // NOLINT(google-explicit-constructor)
  Sink(const std::string& path) : to_(std::filesystem::path(path)) {}  // NOLINT(google-explicit-constructor)
  Sink(const char* path) : to_(std::filesystem::path(path)) {}         // NOLINT(google-explicit-constructor)
  /// The bytes, or the stream, must outlive whatever writes to them.
  explicit Sink(Bytes& bytes) : to_(&bytes) {}
  explicit Sink(std::ostream& stream) : to_(&stream) {}

  /// Of these three one is something.
  [[nodiscard]] const std::filesystem::path* path() const { return std::get_if<std::filesystem::path>(&to_); }
  [[nodiscard]] Bytes* bytes() const { return pointer<Bytes>(); }
  [[nodiscard]] std::ostream* stream() const { return pointer<std::ostream>(); }
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
