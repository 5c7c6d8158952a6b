#pragma once

#include <vector>

namespace sotto::compiler {

/// A polynomial of the value of node `root`, with coefficients of its own in every channel.
struct Polynomial {
  int root = 0;
  std::vector<std::vector<double>> coefficients;  ///< [power][channel]; at least powers 0 and 1

  /// The value itself.
  static Polynomial identity(int root, std::size_t channels);

  [[nodiscard]] std::size_t channels() const { return coefficients.front().size(); }
  /// The highest power that some channel has.
  [[nodiscard]] int degree() const { return static_cast<int>(coefficients.size()) - (constant() ? 2 : 1); }
  [[nodiscard]] bool linear() const { return coefficients.size() == 2; }
  /// The coefficients of a power, by channel.
  [[nodiscard]] const std::vector<double>& of(int power) const { return coefficients[static_cast<std::size_t>(power)]; }

 private:
  [[nodiscard]] bool constant() const;
};

/// scale[c] p + shift[c].
Polynomial affine(Polynomial p, const std::vector<double>& scale, const std::vector<double>& shift);

/// Of polynomials of one root.
Polynomial sum(const Polynomial& p, const Polynomial& q);
Polynomial product(const Polynomial& p, const Polynomial& q);

/// A polynomial as squares of others of half the degree: p = sum of gain S^2, over the squares, + rest.
struct Squares {
  struct Square {
    Polynomial base;           ///< S
    std::vector<double> gain;  ///< by channel; 1, -1 or 0 if S is no line, which has the leading coefficient 1
  };
  std::vector<Square> squares;
  Polynomial rest;  ///< of at most half the degree (rounded up to a power of two)
};

/// Takes a polynomial of degree 2 or more apart. Where the leading coefficient allows it, the square is completed,
/// which leaves a rest of lower degree: nothing but a constant if p is a quadratic, or one of a quadratic. Elsewhere,
/// where the degree is no power of two or where the coefficient vanishes or is so small that large numbers would
/// cancel, 4 a b = (a + b)^2 - (a - b)^2; a quadratic channel there keeps a x^2 and b x apart.
///
/// magnitude: of the root's values, by which a and b are made alike; 0 if it is not known.
/// plain: quadratics keep a x^2 and b x apart in all channels, as is best if b x is needed anyway.
Squares complete_squares(const Polynomial& p, double magnitude, bool plain);

}  // namespace sotto::compiler
