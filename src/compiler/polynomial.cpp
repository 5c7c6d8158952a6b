#include "compiler/polynomial.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace sotto::compiler {

namespace {

using Series = std::vector<double>;  // coefficients of 1, x, x^2, .. in one channel

// How much larger than the polynomial, without its constant, a completed square may be: the rest cancels, and with it
// precision. More leeway if nobody knows how large x is.
constexpr double kMostExcess = 8, kMostExcessUnknown = 64;
// Relative: what remains of a coefficient that should vanish.
constexpr double kRounding = 1e-10;

Series channel(const Polynomial& p, std::size_t c) {
  Series s;
  for (const auto& row : p.coefficients) s.push_back(row[c]);
  return s;
}

void set_channel(Polynomial& p, std::size_t c, const Series& s) {
  if (p.coefficients.size() < s.size()) p.coefficients.resize(s.size(), std::vector<double>(p.channels()));
  for (std::size_t k = 0; k < s.size(); ++k) p.coefficients[k][c] = s[k];
}

int degree_of(const Series& s) {
  int d = static_cast<int>(s.size()) - 1;
  while (d > 0 && s[static_cast<std::size_t>(d)] == 0) --d;
  return d;
}

// Sum of the magnitudes of all terms at |x| = r.
double size_at(const Series& s, double r) {
  double size = 0, power = 1;
  for (double c : s) {
    size += std::abs(c) * power;
    power *= r;
  }
  return size;
}

void trim(Polynomial& p) {
  const auto zero = [](const std::vector<double>& row) {
    return std::all_of(row.begin(), row.end(), [](double v) { return v == 0; });
  };
  while (p.coefficients.size() > 2 && zero(p.coefficients.back())) p.coefficients.pop_back();
}

// The monic S of degree m for which p / a - S^2 has a degree below m; a is the coefficient of x^(2m).
Series root_of(const Series& p, std::size_t m) {
  Series s(m + 1);
  s[m] = 1;
  for (std::size_t j = 1; j <= m; ++j) {
    double rest = p[2 * m - j] / p[2 * m];
    for (std::size_t i = 1; i < j; ++i) rest -= s[m - i] * s[m - j + i];
    s[m - j] = rest / 2;
  }
  return s;
}

// p - a S^2 below x^m. What is rounding becomes zero.
Series without_square(const Series& p, const Series& s, double r) {
  const std::size_t m = s.size() - 1;
  const double most = kRounding * size_at(p, r);
  Series rest(p.begin(), p.begin() + static_cast<std::ptrdiff_t>(m));
  double power = 1;
  for (std::size_t k = 0; k < m; ++k) {
    for (std::size_t i = 0; i <= k; ++i) rest[k] -= p[2 * m] * s[i] * s[k - i];
    if (k > 0 && std::abs(rest[k]) * power < most) rest[k] = 0;
    power *= r;
  }
  return rest;
}

// Makes all gains 1, -1 or 0: the square has the size of what it contributes then.
void absorb_gains(Squares::Square& square) {
  for (std::size_t c = 0; c < square.gain.size(); ++c) {
    if (square.gain[c] == 0) continue;
    for (auto& row : square.base.coefficients) row[c] *= std::sqrt(std::abs(square.gain[c]));
    square.gain[c] = std::copysign(1, square.gain[c]);
  }
}

}  // namespace

Polynomial Polynomial::identity(int root, std::size_t channels) {
  return {root, {std::vector<double>(channels, 0.0), std::vector<double>(channels, 1.0)}};
}

bool Polynomial::constant() const {
  return linear() && std::all_of(of(1).begin(), of(1).end(), [](double v) { return v == 0; });
}

Polynomial affine(Polynomial p, const std::vector<double>& scale, const std::vector<double>& shift) {
  for (auto& row : p.coefficients)
    for (std::size_t c = 0; c < row.size(); ++c) row[c] *= scale[c];
  for (std::size_t c = 0; c < shift.size(); ++c) p.coefficients[0][c] += shift[c];
  trim(p);
  return p;
}

Polynomial sum(const Polynomial& p, const Polynomial& q) {
  Polynomial out = p.coefficients.size() < q.coefficients.size() ? q : p;
  const Polynomial& other = p.coefficients.size() < q.coefficients.size() ? p : q;
  for (std::size_t k = 0; k < other.coefficients.size(); ++k)
    for (std::size_t c = 0; c < out.channels(); ++c) out.coefficients[k][c] += other.coefficients[k][c];
  trim(out);
  return out;
}

Polynomial product(const Polynomial& p, const Polynomial& q) {
  Polynomial out{p.root, {}};
  out.coefficients.assign(p.coefficients.size() + q.coefficients.size() - 1, std::vector<double>(p.channels()));
  for (std::size_t i = 0; i < p.coefficients.size(); ++i)
    for (std::size_t j = 0; j < q.coefficients.size(); ++j)
      for (std::size_t c = 0; c < p.channels(); ++c)
        out.coefficients[i + j][c] += p.coefficients[i][c] * q.coefficients[j][c];
  trim(out);
  return out;
}

Squares complete_squares(const Polynomial& p, double magnitude, bool plain) {
  const double r = magnitude > 0 ? magnitude : 1, excess = magnitude > 0 ? kMostExcess : kMostExcessUnknown;
  const std::size_t m = std::bit_ceil(static_cast<unsigned>(p.degree())) / 2, channels = p.channels();
  Series power(m + 1);
  power[m] = 1;
  const double largest = std::pow(r, static_cast<double>(m));
  const std::vector<double> zero(channels);
  const Polynomial nothing{p.root, {zero, zero}};
  Polynomial base = nothing;
  for (std::size_t c = 0; c < channels; ++c) set_channel(base, c, power);
  Squares out{{{base, zero}, {base, zero}}, nothing};
  Squares::Square &first = out.squares[0], &second = out.squares[1];
  bool differences = false;
  for (std::size_t c = 0; c < channels; ++c) {
    Series s = channel(p, c);
    const auto degree = static_cast<std::size_t>(degree_of(s));
    s.resize(std::max(degree, m) + 1);
    if (degree <= m) {
      set_channel(out.rest, c, s);
      continue;
    }
    if (degree == 2 * m) {
      const Series root = root_of(s, m);
      const double square = std::abs(s[degree]) * std::pow(size_at(root, r), 2), whole = size_at(s, r) - std::abs(s[0]);
      if (!(m == 1 && plain) && square <= excess * whole) {
        first.gain[c] = s[degree];
        set_channel(first.base, c, root);
        set_channel(out.rest, c, without_square(s, root, r));
        continue;
      }
    }
    if (m == 1) {
      first.gain[c] = s[2];
      set_channel(out.rest, c, {s[0], s[1]});
      continue;
    }
    const Series factor(s.begin() + static_cast<std::ptrdiff_t>(m), s.end());  // p = x^m factor + rest
    const double k = largest / size_at(factor, r);
    Series plus = power, minus = power;
    for (std::size_t i = 0; i < factor.size(); ++i) {
      plus[i] += k * factor[i];
      minus[i] -= k * factor[i];
    }
    set_channel(first.base, c, plus);
    set_channel(second.base, c, minus);
    first.gain[c] = 1 / (4 * k);
    second.gain[c] = -1 / (4 * k);
    set_channel(out.rest, c, Series(s.begin(), s.begin() + static_cast<std::ptrdiff_t>(m)));
    differences = true;
  }
  if (!differences) out.squares.pop_back();
  if (m > 1)
    for (auto& square : out.squares) absorb_gains(square);
  for (auto& square : out.squares) trim(square.base);
  trim(out.rest);
  return out;
}

}  // namespace sotto::compiler
