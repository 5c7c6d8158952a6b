#pragma once

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "ckks/eval_key.h"
#include "ckks/parameters.h"
#include "ring/ring.h"

namespace sotto::ckks {

/// A polynomial split into digits and raised to the special primes (ModUp), ready for key switches.
struct RaisedDigits {
  Level level;
  int tier = 0;
  bool hoisted = false;               ///< digits hold values, for any number of switches; else coefficients, for one
  std::vector<ring::RnsPoly> digits;  ///< [d][j]: limb j of the input's digit d; empty where it is the input's own
  const ring::RnsPoly* input = nullptr;
};

/// The result of an inner product with a key, not yet divided by the special primes: the limbs of its level, of which
/// the first may be absent, then those of the tier's special primes.
struct Extended {
  Level level;
  int tier = 0;
  ring::RnsPoly c0, c1;
};

/// P sigma(c) for a ciphertext c, limbs as in `Extended`, packed: what linear transforms multiply by plaintexts (double
/// hoisting).
struct RaisedRotation {
  ring::PackedPoly c0, c1;
};

/// How a key switch ends: (c0, c1) = sigma(round(M (x + P join) / D) + (add, 0)), where P is the product of the special
/// primes, D that of the primes which are dropped, and M that of the primes which join the modulus.
struct Ending {
  std::optional<Level> to = {};          ///< of the result, if it is not that of x
  const ring::RnsPoly* join0 = nullptr;  ///< both or none, and not with `add`
  const ring::RnsPoly* join1 = nullptr;
  const ring::RnsPoly* add = nullptr;          ///< at the level of x, and not with `to`
  const std::uint32_t* permutation = nullptr;  ///< table of sigma in the ring; null: identity
};

/// Hybrid key switching (ePrint 2019/688, section 3; ePrint 2020/1203) with digits and special primes that follow the
/// level.
///
/// Work goes prime by prime where it can: the transforms, the inner product and the division of one limb meet in cache,
/// and all transforms modulo one prime follow each other. All loops run on the threads of the current TBB arena.
class KeySwitcher {
 public:
  KeySwitcher(const Parameters& parameters, std::shared_ptr<const ring::Ring> ring, std::vector<KeyTier> tiers,
              KeyProvider* keys);
  ~KeySwitcher();

  /// The cheapest tier that serves ciphertexts of this level.
  [[nodiscard]] int tier_for(const Level& level) const;
  /// The tier of the key to the ephemeral secret. Throws Error{internal} if there is none.
  [[nodiscard]] int ephemeral_tier() const;
  /// Index in the ring of limb j of an `Extended` of this level.
  [[nodiscard]] std::size_t prime_of(std::size_t j, const Level& level) const;
  [[nodiscard]] int special(int tier) const { return tiers_[static_cast<std::size_t>(tier)].special; }

  /// ModUp. `poly` (values) must outlive the result. `hoisted`: for several switches; else for one `apply`.
  [[nodiscard]] RaisedDigits mod_up(const ring::RnsPoly& poly, int tier, bool hoisted) const;
  /// The whole switch with the key of `galois_element` (0: relinearisation); frees what it has read unless `d` is
  /// hoisted.
  void apply(RaisedDigits& d, std::uint64_t galois_element, const Ending& ending, ring::RnsPoly& c0,
             ring::RnsPoly& c1) const;

  /// The inner product of a hoisted decomposition alone, for sums of switches (double hoisting).
  [[nodiscard]] Extended switch_digits(const RaisedDigits& d, std::uint64_t galois_element) const;
  /// P sigma(c0, c1), where d is the hoisted decomposition of c1 and sigma the automorphism of `galois_element`; 1:
  /// none.
  [[nodiscard]] RaisedRotation rotate_raised(const RaisedDigits& d, const ring::RnsPoly& c0,
                                             std::uint64_t galois_element) const;
  /// x += P sigma(c0, c1), as `rotate_raised`.
  void add_rotated(const RaisedDigits& d, const ring::RnsPoly& c0, std::uint64_t galois_element, Extended& x) const;
  /// x += sigma(y). Only the second polynomial of y is divided by the special primes, which its own switch needs.
  void add_rotated(Extended y, std::uint64_t galois_element, Extended& x) const;
  /// A polynomial of one limb, centred, as a single digit of `limbs` limbs for the key kFromEphemeral.
  [[nodiscard]] RaisedDigits mod_raise_digit(const ring::RnsPoly& poly, int limbs) const;
  /// ModDown of what `switch_digits` gave, to this level, or, for tier -1, the division that leads there alone. `add`,
  /// if set, is added to c0.
  void mod_down(Extended x, const Level& to, const ring::RnsPoly* add, ring::RnsPoly& c0, ring::RnsPoly& c1) const;

 private:
  struct Conversions;
  struct Digit;
  struct ModDownConstants;
  using Pair = std::array<ring::Limb, 2>;
  struct Terms {  // of the inner product modulo one prime
    std::array<const std::uint64_t*, 8> x;
    std::array<const unsigned char*, 8> k0, k1;
    std::size_t count;
  };

  [[nodiscard]] const Digit& digit(int tier, const Level& level, int d) const;
  [[nodiscard]] const ModDownConstants& mod_down_constants(int tier, const Level& from, const Level& to) const;
  [[nodiscard]] const SwitchingKey& key_for(const RaisedDigits& d, std::uint64_t galois_element) const;
  [[nodiscard]] Pair inner_product(const RaisedDigits& d, const SwitchingKey& key, std::size_t j) const;
  [[nodiscard]] Terms terms(const RaisedDigits& d, const SwitchingKey& key, std::size_t j) const;
  template <class AddFirst, class Take>
  void rotate_limbs(const RaisedDigits& d, std::uint64_t galois_element, const AddFirst& add_first,
                    const Take& take) const;
  void add_raised(const RaisedDigits& d, const ring::RnsPoly& c0, std::size_t j, ring::Limb& x) const;
  void add_limbs(Extended& x, std::size_t j, const Pair& y) const;
  [[nodiscard]] ring::RnsPoly divide(ring::RnsPoly x, const Level& from, int tier, const Level& to) const;
  template <class Dropped, class Finish>
  void mod_down_limbs(const ModDownConstants& plan, const std::uint32_t* permutation, const Dropped& dropped_at,
                      const Finish& finish, ring::RnsPoly& c0, ring::RnsPoly& c1) const;

  Parameters parameters_;
  std::shared_ptr<const ring::Ring> ring_;
  std::vector<KeyTier> tiers_;
  KeyProvider* keys_;
  std::unique_ptr<Conversions> conversions_;
};

}  // namespace sotto::ckks
