#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "sotto/io.h"
#include "wire/atomic_file.h"

namespace sotto::wire {

/// Takes the bytes of one Sink, in order.
class Output {
 public:
  virtual ~Output() = default;
  /// Throws Error{no_resources} where there is no room.
  virtual void write(std::span<const unsigned char> data) = 0;
  /// Called once, when all is written. Without it a file or bytes in memory stay as they were.
  virtual void commit() = 0;
};

/// bytes: how many there will be. The mode, and what must not be replaced, are as for AtomicFile; kind: none for what
/// is no Sotto file.
std::unique_ptr<Output> open_output(const Sink& sink, std::uint64_t bytes, Access access, std::optional<Kind> kind);

}  // namespace sotto::wire
