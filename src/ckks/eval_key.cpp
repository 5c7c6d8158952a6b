#include "ckks/eval_key.h"

#include <string>

#include "base/error.h"
#include "ckks/security.h"

namespace sotto::ckks {

void require_secure(const ParametersSpec& parameters, const KeyRequest& request) {
  const auto require = [&](const KeyTier& tier) {
    const SecurityRow* row = find_security_row(parameters.log_n, SecretDistribution::ephemeral);
    if (row == nullptr || (tier.max_limbs + tier.special) * parameters.prime_bits > row->max_log2_qp)
      throw Error(ErrorCode::bad_input, "refused: the security table has no row for this ephemeral secret");
  };
  for (const KeyTier& tier : request.tiers)
    if (tier.ephemeral) require(tier);
  for (const KeyId& id : request.keys)
    if (id.galois_element == kToEphemeral) require(request.tiers.at(static_cast<std::size_t>(id.tier)));
}

const SwitchingKey& KeyMap::key(const KeyId& id) {
  const auto it = keys.find(id);
  if (it == keys.end())
    throw Error(ErrorCode::wrong_key, "the evaluation keys lack a key that the plan needs; make keys for this plan");
  return it->second;
}

}  // namespace sotto::ckks
