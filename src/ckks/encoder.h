#pragma once

#include <complex>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "ckks/ciphertext.h"

namespace sotto::ckks {

/// The canonical embedding between slots and integer coefficients (CKKS, ePrint 2016/421; conjugate-invariant ring,
/// ePrint 2018/952). Slot j is the value at the primitive root to the power 5^j.
///
/// An encoder for `size` n works on whole polynomials of a ring of rank n; one for a smaller size works on the subring
/// of polynomials whose slots repeat with that period.
class Encoder {
 public:
  Encoder(int log_size, ring::RingKind kind);

  /// Number of slots: size (real) or size / 2 (complex).
  [[nodiscard]] std::size_t slots() const { return slot_index_.size(); }

  /// Coefficients of the polynomial with these slots; shorter input is padded with zeros. For the conjugate-invariant
  /// ring imaginary parts must be zero.
  [[nodiscard]] std::vector<double> embed_inverse(std::span<const std::complex<double>> slots) const;
  [[nodiscard]] std::vector<double> embed_inverse(std::span<const double> slots) const;
  /// Both at once in one transform; conjugate-invariant ring only. The second result is empty if `b` is.
  [[nodiscard]] std::pair<std::vector<double>, std::vector<double>> embed_inverse_pair(std::span<const double> a,
                                                                                       std::span<const double> b) const;
  /// Slots of the polynomial with these coefficients.
  [[nodiscard]] std::vector<std::complex<double>> embed(std::span<const double> coefficients) const;

  /// Index, in the order of the number-theoretic transform, of the value that slot j holds.
  [[nodiscard]] std::size_t slot_index(std::size_t j) const { return slot_index_[j]; }

 private:
  void inverse_transform(double* re, double* im) const;

  std::size_t n_;
  ring::RingKind kind_;
  std::vector<std::complex<double>> twiddle_;  // node m + i of the transform tree
  std::vector<std::size_t> slot_index_, conjugate_index_;
};

/// Rounds coefficient * scale to integers and brings them modulo each of a level's primes, transformed.
/// Throws Error{bad_input} if a coefficient is not finite or its magnitude reaches 2^62.
Plaintext encode(const ring::Ring& ring, std::span<const double> coefficients, double scale, const Level& level);

/// Centred integer coefficients of a transformed polynomial, from the first one or two limbs that it has, as doubles.
/// Magnitudes must be below half the product of the limbs used.
std::vector<double> decode_coefficients(const ring::Ring& ring, const ring::RnsPoly& poly);

}  // namespace sotto::ckks
