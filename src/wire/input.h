#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "sotto/io.h"

namespace sotto::wire {

/// The bytes of one Source, in any order. Thread-safe.
class Input {
 public:
  /// Throws Error{bad_input} for a file that cannot be read, or is none.
  explicit Input(const Source& source);
  ~Input();
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;

  [[nodiscard]] std::uint64_t size() const { return size_; }
  [[nodiscard]] const std::string& name() const { return name_; }

  /// Fills dst from `offset` on. Throws Error{bad_input} if there are not so many bytes.
  void read_at(std::uint64_t offset, std::span<unsigned char> dst) const;

  /// Error{bad_input} that names the source.
  [[noreturn]] void fail(const std::string& what) const;

 private:
  std::string name_;
  std::shared_ptr<const Bytes> bytes_;  // or a file:
  int fd_ = -1;
  std::uint64_t size_ = 0;
};

}  // namespace sotto::wire
