#include "ckks/eval_key.h"

#include <algorithm>
#include <numeric>
#include <string>

#include "base/error.h"
#include "ckks/security.h"

namespace sotto::ckks {

namespace {

// Keeps the longest of keys that serve as one another.
void insert(std::vector<KeyShape>& keys, const KeyShape& key) {
  if (std::ranges::any_of(keys, [&](const KeyShape& k) { return k.serves(key); })) return;
  std::erase_if(keys, [&](const KeyShape& k) { return key.serves(k); });
  keys.push_back(key);
}

}  // namespace

std::vector<KeyShape> shapes_of(const KeyRequest& request) {
  std::vector<KeyShape> keys;
  for (const KeyId& id : request.keys)
    insert(keys, {request.tiers.at(static_cast<std::size_t>(id.tier)), id.galois_element});
  return keys;
}

std::optional<FoundKey> find_key(std::span<const RingKeys> rings, const ParametersSpec& ring, const KeyShape& wanted) {
  std::size_t index = 0;
  for (const RingKeys& r : rings) {
    if (same_ring(r.ring, ring)) {
      const auto found = std::ranges::find_if(r.keys, [&](const KeyShape& k) { return k.serves(wanted); });
      if (found != r.keys.end()) return FoundKey{index + static_cast<std::size_t>(found - r.keys.begin()), *found};
    }
    index += r.keys.size();
  }
  return std::nullopt;
}

void KeyList::add(const Parameters& parameters, const KeyRequest& request) {
  const ParametersSpec& spec = parameters.spec();
  if (parameters.security_bits() > 0) require_secure(spec, request);
  auto ring = std::ranges::find_if(rings_, [&](const RingKeys& r) { return same_ring(r.ring, spec); });
  if (ring == rings_.end()) ring = rings_.insert(ring, {spec, {}});
  ring->ring.ciphertext_primes = std::max(ring->ring.ciphertext_primes, spec.ciphertext_primes);
  ring->ring.special_primes = std::max(ring->ring.special_primes, spec.special_primes);
  for (const KeyShape& key : shapes_of(request)) insert(ring->keys, key);
}

std::size_t KeyList::size() const {
  return std::accumulate(rings_.begin(), rings_.end(), std::size_t{0},
                         [](std::size_t sum, const RingKeys& r) { return sum + r.keys.size(); });
}

void require_secure(const ParametersSpec& parameters, const KeyRequest& request) {
  const auto bits = [&](const KeyTier& tier) {
    const int small = std::min(tier.max_limbs, parameters.small_primes);  // the first limbs
    return (tier.max_limbs - small + tier.special) * parameters.prime_bits + small * parameters.small_prime_bits();
  };
  const auto require = [&](const KeyTier& tier, SecretDistribution secret, const char* what) {
    const SecurityRow* row = find_security_row(parameters.log_n, secret, parameters.security);
    if (row == nullptr || bits(tier) > row->max_log2_qp)
      throw Error(ErrorCode::bad_input, std::string("refused: the security table has no row for ") + what);
  };
  for (const KeyTier& tier : request.tiers) {
    if (tier.ephemeral)
      require(tier, SecretDistribution::ephemeral, "keys under this ephemeral secret");
    else
      require(tier, SecretDistribution::ternary, "a key of so many primes");
  }
  for (const KeyId& id : request.keys)
    if (id.galois_element == kToEphemeral)
      require(request.tiers.at(static_cast<std::size_t>(id.tier)), SecretDistribution::ephemeral,
              "keys under this ephemeral secret");
}

const SwitchingKey& KeyMap::key(const KeyId& id) {
  const auto it = keys.find(id);
  if (it == keys.end())
    throw Error(ErrorCode::wrong_key, "the evaluation keys lack a key that the plan needs; make keys for this plan");
  return it->second;
}

}  // namespace sotto::ckks
