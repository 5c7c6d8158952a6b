#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

namespace sotto::bootstrap {

/// A square matrix over slots by its diagonals: (M v)_j = sum over shifts s of diagonal[s]_j v_{j + s}, indices modulo
/// the number of slots. Shifts are taken in [0, slots).
struct SlotMatrix {
  std::size_t slots = 0;
  std::map<std::size_t, std::vector<double>> diagonals;

  /// Adds `value` at row `to`, column `from`.
  void add(std::size_t to, std::size_t from, double value);
  [[nodiscard]] std::vector<double> operator*(std::span<const double> v) const;
};

/// a b: first b, then a.
SlotMatrix operator*(const SlotMatrix& a, const SlotMatrix& b);

/// Which shifts a factor of the embedding has: `step` times i, first <= i <= last, each with and without half the
/// slots.
struct FactorShape {
  std::int64_t step = 1;
  int first = 0, last = 0;
};

/// The map from the slots of an element of the conjugate-invariant ring of rank `slots` to its coefficients in the
/// basis 1, X + 1/X, X^2 + 1/X^2, .., up to order and signs, as a product of `factors` matrices with few diagonals
/// each, in the order in which they are applied. `slots` is a power of two, at least 8; 1 <= factors <= log2(slots)
/// - 1.
///
/// The slots are the values at 2 cos(pi 5^j / (2 slots)): a cosine transform. It falls apart, by sums and differences
/// of slots that lie half the group apart, into complex Fourier transforms of n/4, n/8, .. points; with real parts in
/// the lower half of the slots and imaginary parts in the upper half, all of them share shifts (docs/adr/0017).
std::vector<SlotMatrix> inverse_embedding(std::size_t slots, int factors);

/// The inverse map, from coefficients in that order to slots.
std::vector<SlotMatrix> embedding(std::size_t slots, int factors);

/// The shapes of the factors of `inverse_embedding`; those of `embedding` are the same in reverse order.
std::vector<FactorShape> factor_shapes(std::size_t slots, int factors);

}  // namespace sotto::bootstrap
