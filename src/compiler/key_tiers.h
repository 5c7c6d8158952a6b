#pragma once

#include "plan/plan.h"

namespace sotto::compiler {

/// Special primes for key switches of `limbs` limbs in the fewest digits, two at least, that `most` special primes
/// allow: one more than a digit has limbs. 0 if even eight digits are too few.
int special_primes(int limbs, int most);

/// Sets plan.keys: the tiers that make reading keys and switching with them cheapest together, and the keys of each.
///
/// Lower tiers switch faster but bring keys of their own. Tiers begin at levels of steps, so the best choice is a
/// shortest path over those levels. Returns the seconds that reading and switching take, by rough figures of a typical
/// processor with two threads.
double choose_keys(plan::Plan& plan);

}  // namespace sotto::compiler
