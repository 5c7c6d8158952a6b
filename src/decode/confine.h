#pragma once

#include <cstdint>

#include "decode/protocol.h"

namespace sotto::decode {

/// What a process that decodes may use.
struct Limits {
  std::uint64_t memory = std::uint64_t{2} << 30;  ///< bytes of address space
  std::uint64_t cpu_seconds = 240;                ///< in all; the system then ends it
};

/// Takes from this process, for good, what decoding does not need. Afterwards it can read descriptor 0, write
/// descriptor 1, take memory and end; opening a file fails, and any other system call ends it (SIGSYS). Where the
/// system forbids such a filter (some containers do), what remains is: no new descriptors, files or processes, no
/// capabilities, no dumps, and the limits. Confinement::none if one of these cannot be set: then nothing that others
/// made may be decoded. Code under address or thread sanitizers, which make calls of their own, gets
/// no filter and no limit of memory. To be called by the only thread.
Confinement confine(const Limits& limits);

}  // namespace sotto::decode
