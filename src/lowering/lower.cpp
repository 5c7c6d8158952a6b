#include "lowering/lower.h"

#include "lowering/lowering.h"

namespace sotto::lowering {

std::optional<LoweredStep> lower(const Step& step, const Arrangement& arrangement, const LevelChoice& choice,
                                 const std::vector<std::uint64_t>& primes, const training::Spec& spec) {
  return Lowering(step, arrangement, choice, primes, spec).run();
}

}  // namespace sotto::lowering
