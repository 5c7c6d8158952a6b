#pragma once

#include <cstdint>

namespace sotto {

/// Memory that this process could get now, and all that it may ever have, in bytes: what the machine has (MemAvailable,
/// MemTotal), or less if a control group says so (base/control_group.h); 0 if unknown.
std::uint64_t available_memory();
std::uint64_t total_memory();
/// Most memory that this process has had in RAM (VmHWM).
std::uint64_t peak_memory();

}  // namespace sotto
