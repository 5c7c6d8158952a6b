#pragma once

#include <cstddef>

namespace sotto::program {

/// Slots after which the plaintexts of a mix repeat, as whoever runs it takes them, at least: a subring of so many.
inline constexpr std::size_t kLeastPeriod = 64;

/// Least words of a run, all with the same transform of a plaintext, for which a mix is a matrix product; where runs
/// are shorter, plaintexts are written out.
inline constexpr std::size_t kLeastRun = 16;

}  // namespace sotto::program
