#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "ckks/ciphertext.h"
#include "ckks/key_switch.h"
#include "ckks/parameters.h"

namespace sotto::ckks {

/// Homomorphic operations. Needs no secret; every operation checks levels and scales and throws Error{internal} on a
/// mismatch, which a verified plan rules out. All loops run on the threads of the current TBB arena.
class Evaluator {
 public:
  Evaluator(const Parameters& parameters, std::shared_ptr<const ring::Ring> ring, std::vector<KeyTier> tiers,
            KeyProvider* keys);

  [[nodiscard]] const ring::Ring& ring() const { return *ring_; }
  /// The cheapest tier that serves ciphertexts of this level.
  [[nodiscard]] int tier_for(const Level& level) const { return switcher_.tier_for(level); }

  /// a + b, a - b: equal levels, scales equal to 2^-20.
  [[nodiscard]] Ciphertext add(const Ciphertext& a, const Ciphertext& b) const;
  [[nodiscard]] Ciphertext sub(const Ciphertext& a, const Ciphertext& b) const;
  /// a + p: p has at least the limbs of a, scales equal.
  [[nodiscard]] Ciphertext add_plain(const Ciphertext& a, const Plaintext& p) const;
  /// a * p, scale multiplied; p has at least the limbs of a.
  [[nodiscard]] Ciphertext multiply_plain(const Ciphertext& a, const Plaintext& p) const;
  /// a * round(value * scale).
  [[nodiscard]] Ciphertext multiply_scalar(const Ciphertext& a, double value, double scale) const;
  /// a + value in every slot.
  [[nodiscard]] Ciphertext add_scalar(Ciphertext a, double value) const;
  /// A copy at a level that a's covers.
  [[nodiscard]] Ciphertext drop_to(const Ciphertext& a, const Level& level) const;
  /// See ckks::divisor.
  [[nodiscard]] double divisor(const Level& from, const Level& to) const;
  /// Divides by the last prime: one limb less. Consumes a: its memory is reused.
  [[nodiscard]] Ciphertext rescale(Ciphertext a) const;
  /// The same to any level of no more limbs, by `divisor` (BitPacker, ASPLOS 2024). Primes that join come by a
  /// multiplication.
  [[nodiscard]] Ciphertext rescale(Ciphertext a, const Level& to) const;
  /// a * b, relinearised and rescaled in one division: one limb less, scale a.scale * b.scale / q.
  [[nodiscard]] Ciphertext multiply(const Ciphertext& a, const Ciphertext& b) const;
  /// a * b, relinearised and rescaled to this level in one division.
  [[nodiscard]] Ciphertext multiply(const Ciphertext& a, const Ciphertext& b, const Level& to) const;
  /// a^2, as `multiply`. Consumes a: its memory is reused.
  [[nodiscard]] Ciphertext square(Ciphertext a) const;
  /// a^2, relinearised and rescaled to this level in one division.
  [[nodiscard]] Ciphertext square(Ciphertext a, const Level& to) const;
  /// d0 + d1 s + d2 s^2, of this scale, as a ciphertext, rescaled to this level in the same division.
  [[nodiscard]] Ciphertext relinearise(const ring::RnsPoly& d0, const ring::RnsPoly& d1, const ring::RnsPoly& d2,
                                       double scale, const Level& to) const;

  /// Slot j + steps moves to slot j.
  [[nodiscard]] Ciphertext rotate(const Ciphertext& a, std::int64_t steps) const;
  /// Complex conjugation of every slot; standard ring only.
  [[nodiscard]] Ciphertext conjugate(const Ciphertext& a) const;
  /// All the rotations of one ciphertext with one decomposition (hoisting).
  [[nodiscard]] std::vector<Ciphertext> rotate_many(const Ciphertext& a, std::span<const std::int64_t> steps) const;
  /// The same one after the other, each handed to `done` with its number.
  void rotate_each(const Ciphertext& a, std::span<const std::int64_t> steps,
                   const std::function<void(std::size_t, Ciphertext)>& done) const;
  /// A sum of rotations that are divided together: empty_sum, add_rotated for each, divided. All at one level; scales
  /// are equal.
  [[nodiscard]] Extended empty_sum(const Level& level) const;
  void add_rotated(const Ciphertext& a, std::int64_t steps, Extended& sum) const;
  [[nodiscard]] Ciphertext divided(Extended sum, double scale) const;
  /// sum over k of list[k] rotated by steps[k], at this level, with one division.
  [[nodiscard]] Ciphertext rotate_join(std::span<const PackedCiphertext* const> list,
                                       std::span<const std::int64_t> steps, const Level& level) const;
  /// a + sum over steps of its rotations, with one decomposition and one division (double hoisting).
  [[nodiscard]] Ciphertext rotate_sum(const Ciphertext& a, std::span<const std::int64_t> steps) const;

  /// ModRaise under the ephemeral sparse secret (sparse-secret encapsulation, ePrint 2022/024): a ciphertext of one
  /// limb becomes one of `limbs` limbs whose message is that of `a` plus q_0 times a polynomial with coefficients of
  /// magnitude at most kEphemeralWeight, in the basis 1, X + 1/X, X^2 + 1/X^2, ...
  [[nodiscard]] Ciphertext mod_raise(const Ciphertext& a, int limbs) const;

  [[nodiscard]] const KeySwitcher& switcher() const { return switcher_; }

 private:
  [[nodiscard]] Ciphertext apply(const Ciphertext& a, RaisedDigits& d, std::uint64_t galois_element) const;

  Parameters parameters_;
  std::shared_ptr<const ring::Ring> ring_;
  KeySwitcher switcher_;
};

}  // namespace sotto::ckks
