#pragma once

#include <algorithm>

namespace sotto::plan {

/// How many ciphertexts of so many limbs are worked on side by side: one after the other while their limbs keep all
/// threads busy, since each takes scratch memory.
inline int in_flight(int limbs, int threads) { return std::max(1, threads / std::max(1, limbs)); }

}  // namespace sotto::plan
