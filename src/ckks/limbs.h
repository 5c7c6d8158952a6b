#pragma once

#include <cstddef>
#include <utility>

#include "base/parallel.h"
#include "ckks/level.h"
#include "ring/ring.h"

namespace sotto::ckks {

/// The level of a polynomial with empty limbs in the place of absent ones, packed or not.
template <class Limb>
Level level_of(const std::vector<Limb>& poly) {
  Level level{static_cast<int>(poly.size())};
  while (level.absent < level.limbs && !poly[static_cast<std::size_t>(level.absent)]) ++level.absent;
  return level;
}

/// A polynomial of this level with unspecified words.
inline ring::RnsPoly make_poly(const ring::Ring& ring, const Level& level) {
  ring::RnsPoly p(static_cast<std::size_t>(level.limbs));
  for (auto l = static_cast<std::size_t>(level.absent); l < p.size(); ++l) p[l] = ring.limb();
  return p;
}

/// Runs body(l) for all limbs of a level, on the threads of the current TBB arena.
template <class F>
void parallel_for_limbs(const Level& level, F&& body) {
  parallel_for(static_cast<std::size_t>(level.count()),
               [&](std::size_t k) { body(static_cast<std::size_t>(level.absent) + k); });
}

}  // namespace sotto::ckks
