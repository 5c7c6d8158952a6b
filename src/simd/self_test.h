#pragma once

#include <cstddef>
#include <cstdint>

#include "simd/kernels.h"

namespace sotto::simd {

/// Compares the transforms of length n modulo q of `k` with those of the scalar set, as self_test does with shorter
/// ones (some ten milliseconds for n = 2^16). root: of order 4n if ci (see NttTables), else 2n.
bool transforms_match(const Kernels& k, std::size_t n, std::uint64_t q, std::uint64_t root, bool ci);

}  // namespace sotto::simd
