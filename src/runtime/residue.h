#pragma once

#include <cstdint>

namespace sotto::runtime {

/// The integer `value` modulo q, in [0, q). Any integer that a double holds.
std::uint64_t residue(double value, std::uint64_t q);

}  // namespace sotto::runtime
