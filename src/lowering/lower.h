#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "lowering/arrangement.h"
#include "lowering/lowered_step.h"
#include "training/spec.h"

namespace sotto::lowering {

/// Writes the program of a step; nothing if bootstrapping leaves too few levels for it. primes: of the ring, ciphertext
/// primes first; spec: says how large weights and velocities become, and how small rates. Throws Error{bad_input} for
/// what cannot be lowered.
std::optional<LoweredStep> lower(const Step& step, const Arrangement& arrangement, const LevelChoice& choice,
                                 const std::vector<std::uint64_t>& primes, const training::Spec& spec);

}  // namespace sotto::lowering
