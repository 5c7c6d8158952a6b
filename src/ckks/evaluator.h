#pragma once

#include <memory>
#include <span>
#include <vector>

#include "ckks/ciphertext.h"
#include "ckks/eval_key.h"
#include "ckks/parameters.h"

namespace sotto::ckks {

/// A polynomial split into digits and raised to the special primes, ready for any number of key switches.
struct Decomposition {
  int limbs = 0;
  int tier = 0;
  std::vector<ring::RnsPoly> digits;         ///< digits[d][j]: limb j of digit d; empty where the limb is the input's own
  const ring::RnsPoly* input = nullptr;
};

/// The result of an inner product with a key, not yet divided by the special primes: limbs [0, limbs) of the ciphertext
/// primes, then the tier's special primes.
struct Extended {
  int limbs = 0;
  int tier = 0;
  ring::RnsPoly c0, c1;
};

/// Homomorphic operations. Needs no secret; every operation checks levels and scales and throws Error{internal} on a
/// mismatch, which a verified plan rules out. All loops run on the threads of the current TBB arena.
class Evaluator {
 public:
  Evaluator(const Parameters& parameters, std::shared_ptr<const ring::Ring> ring, std::vector<KeyTier> tiers,
            KeyProvider* keys);
  ~Evaluator();

  [[nodiscard]] const ring::Ring& ring() const { return *ring_; }
  /// The cheapest tier that serves ciphertexts of this many limbs.
  [[nodiscard]] int tier_for(int limbs) const;

  /// a + b, a - b: equal limbs, scales equal to 2^-20.
  [[nodiscard]] Ciphertext add(const Ciphertext& a, const Ciphertext& b) const;
  [[nodiscard]] Ciphertext sub(const Ciphertext& a, const Ciphertext& b) const;
  /// a + p: p has at least the limbs of a, scales equal.
  [[nodiscard]] Ciphertext add_plain(const Ciphertext& a, const Plaintext& p) const;
  /// a * p, scale multiplied; p has at least the limbs of a.
  [[nodiscard]] Ciphertext multiply_plain(const Ciphertext& a, const Plaintext& p) const;
  /// a * round(value * scale), |value * scale| < 2^62.
  [[nodiscard]] Ciphertext multiply_scalar(const Ciphertext& a, double value, double scale) const;
  /// A copy of the first `limbs` limbs.
  [[nodiscard]] Ciphertext drop_to(const Ciphertext& a, int limbs) const;
  /// Divides by the last prime: one limb less.
  [[nodiscard]] Ciphertext rescale(const Ciphertext& a) const;
  /// a * b, relinearised and rescaled in one division: one limb less, scale a.scale * b.scale / q.
  [[nodiscard]] Ciphertext multiply(const Ciphertext& a, const Ciphertext& b) const;
  /// a^2, as `multiply`. Consumes a: its memory is reused.
  [[nodiscard]] Ciphertext square(Ciphertext a) const;

  /// Slot j + steps moves to slot j.
  [[nodiscard]] Ciphertext rotate(const Ciphertext& a, std::int64_t steps) const;
  /// Complex conjugation of every slot; standard ring only.
  [[nodiscard]] Ciphertext conjugate(const Ciphertext& a) const;
  /// All the rotations of one ciphertext with one decomposition (hoisting).
  [[nodiscard]] std::vector<Ciphertext> rotate_many(const Ciphertext& a, std::span<const std::int64_t> steps) const;
  /// a + sum over steps of its rotations, with one decomposition and one division (double hoisting).
  [[nodiscard]] Ciphertext rotate_sum(const Ciphertext& a, std::span<const std::int64_t> steps) const;

  /// The steps of a key switch, for callers that combine them.
  [[nodiscard]] Decomposition decompose(const ring::RnsPoly& poly, int tier) const;
  [[nodiscard]] Extended switch_digits(const Decomposition& d, std::uint64_t exponent) const;
  /// (c0, c1) = round(extended / (special primes, and the last ciphertext prime if rescale)).
  void divide(Extended e, bool rescale, ring::RnsPoly& c0, ring::RnsPoly& c1) const;

 private:
  struct Conversions;

  [[nodiscard]] Ciphertext permuted(const ring::RnsPoly& c0, const ring::RnsPoly& c1, std::uint64_t exponent,
                                    double scale) const;
  [[nodiscard]] Ciphertext apply(const Ciphertext& a, const Decomposition& d, std::uint64_t exponent) const;
  [[nodiscard]] Ciphertext finish_product(ring::RnsPoly d0, ring::RnsPoly d1, const ring::RnsPoly& d2,
                                          double scale) const;
  // c0 = round(x0 / primes) (+ add), c1 = round(x1 / primes); consumes x0 and x1.
  void divide_pair(ring::RnsPoly& x0, ring::RnsPoly& x1, int limbs, int tier, bool rescale, ring::RnsPoly& c0, ring::RnsPoly& c1,
                   const ring::RnsPoly* add = nullptr) const;

  Parameters parameters_;
  std::shared_ptr<const ring::Ring> ring_;
  std::vector<KeyTier> tiers_;
  KeyProvider* keys_;
  std::unique_ptr<Conversions> conversions_;
};

}  // namespace sotto::ckks
