#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "ckks/parameters.h"

namespace sotto::ckks {

/// What the keys beside automorphisms (odd Galois elements) switch, in the place of a Galois element.
inline constexpr std::uint64_t kRelinearise = 0;    ///< from s^2 to s
inline constexpr std::uint64_t kToEphemeral = 2;    ///< from s to the ephemeral sparse secret
inline constexpr std::uint64_t kFromEphemeral = 4;  ///< from the ephemeral secret to s, for polynomials below one prime

/// Names one key-switching key: which tier it serves and what it switches.
struct KeyId {
  int tier = 0;
  std::uint64_t galois_element = 0;  ///< automorphism Galois element or one of the constants above

  auto operator<=>(const KeyId&) const = default;
};

/// Digits of a key. The way back from the ephemeral secret needs one: what it switches is smaller than any digit.
inline int key_digits(const KeyTier& tier, std::uint64_t galois_element) {
  return galois_element == kFromEphemeral ? 1 : tier.digits();
}

/// The keys that a plan needs: the client makes exactly these.
struct KeyRequest {
  std::vector<KeyTier> tiers;
  std::vector<KeyId> keys;  ///< sorted, distinct
};

/// Throws Error{bad_input} if a request asks for a key under the ephemeral secret that the security table does not
/// allow.
void require_secure(const ParametersSpec& parameters, const KeyRequest& request);

/// A hybrid key-switching key (ePrint 2019/688, section 3; ePrint 2020/1203): per digit d an encryption
/// (b_d, a_d) of P g_d s', where g_d is 1 modulo the primes of digit d and 0 modulo the other ciphertext primes.
///
/// For an automorphism sigma the key leads from s to sigma^-1(s), so that the permutation can come last, on the result
/// (hoisting, Halevi-Shoup 2018). Limb order of each polynomial: max_limbs ciphertext primes, then the special primes.
/// The one digit of the key from the ephemeral secret has factor P modulo every ciphertext prime.
struct SwitchingKey {
  struct Digit {
    ring::PackedPoly b, a;
  };
  KeyTier tier;
  std::vector<Digit> digits;

  /// Index in a ring of limb j of this key; q: number of ciphertext primes of the ring's parameters.
  [[nodiscard]] std::size_t prime_index(int j, int q) const {
    return static_cast<std::size_t>(j < tier.max_limbs ? j : q + j - tier.max_limbs);
  }
  [[nodiscard]] int limbs() const { return tier.max_limbs + tier.special; }
};

/// Where an evaluator finds keys.
class KeyProvider {
 public:
  virtual ~KeyProvider() = default;
  /// Throws Error{wrong_key} if there is no such key.
  virtual const SwitchingKey& key(const KeyId& id) = 0;
  /// Says which keys will be asked for next, so that they can be read side by side.
  virtual void prepare(std::span<const KeyId> ids) { (void)ids; }
};

/// Keys in memory.
class KeyMap : public KeyProvider {
 public:
  std::map<KeyId, SwitchingKey> keys;
  const SwitchingKey& key(const KeyId& id) override;
};

}  // namespace sotto::ckks
