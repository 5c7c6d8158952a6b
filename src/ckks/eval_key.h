#pragma once

#include <cstdint>
#include <map>
#include <optional>
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

/// What a key is whatever plan uses it. One of more limbs serves in the place of one of fewer with as many special
/// primes: both have the same digits, of which the longer key has more.
struct KeyShape {
  KeyTier tier;
  std::uint64_t galois_element = 0;

  /// Whether this key, of the same ring, can be used as that one.
  [[nodiscard]] bool serves(const KeyShape& wanted) const {
    return galois_element == wanted.galois_element && tier.special == wanted.tier.special &&
           tier.max_limbs >= wanted.tier.max_limbs && tier.ephemeral == wanted.tier.ephemeral;
  }
  [[nodiscard]] int limbs() const { return tier.max_limbs + tier.special; }
};

/// Keys of one ring.
struct RingKeys {
  ParametersSpec ring;         ///< numbers of primes: the most that any of the keys has
  std::vector<KeyShape> keys;  ///< none serves as another
};

/// A key of a list, counted over all rings.
struct FoundKey {
  std::size_t index = 0;
  KeyShape shape;
};

/// A key that can be used as the one that is wanted, if there is one.
std::optional<FoundKey> find_key(std::span<const RingKeys> rings, const ParametersSpec& ring, const KeyShape& wanted);

/// The keys that serve some plans, of any rings: those that plans have in common are there once.
class KeyList {
 public:
  KeyList() = default;
  KeyList(const Parameters& parameters, const KeyRequest& request) { add(parameters, request); }

  /// Adds what a plan with these parameters asks for. Throws Error{bad_input} if that is a key which the security table
  /// does not allow.
  void add(const Parameters& parameters, const KeyRequest& request);
  [[nodiscard]] const std::vector<RingKeys>& rings() const { return rings_; }
  [[nodiscard]] std::size_t size() const;

 private:
  std::vector<RingKeys> rings_;
};

/// The keys of a request, without those as which others serve.
std::vector<KeyShape> shapes_of(const KeyRequest& request);

/// Throws Error{bad_input} if a request asks for a key that the security table does not allow: one under the secret, or
/// one under the ephemeral secret.
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
