#include "compiler/relu_approximation.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <iterator>
#include <numbers>

#include "base/error.h"
#include "ckks/chebyshev.h"

namespace sotto::compiler {

namespace {

using Series = std::vector<double>;  // coefficients of T_0, T_1, ..

constexpr double kRoom = 1 - 0x1p-12;  // the largest value of a factor that another one follows
constexpr double kSlack = 1e-6;        // relative: sign polynomials err by a little less than asked, for rounding
constexpr int kHighestFactor = 31, kHighestSingle = 126;
constexpr double kLeastError = 0x1p-20, kMostError = 0.25;

Series derivative(const Series& series) {
  Series d(series.size() + 1);
  for (std::size_t k = series.size() - 1; k > 0; --k) d[k - 1] = d[k + 1] + 2 * static_cast<double>(k) * series[k];
  d[0] /= 2;
  d.resize(series.size() - 1);
  return d;
}

// The root of f between a and b, where its signs differ: regula falsi, Illinois variant.
double root(const Series& f, double a, double fa, double b, double fb) {
  for (int i = 0; i < 60; ++i) {
    const double x = b - fb * (b - a) / (fb - fa), fx = ckks::chebyshev_value(f, x);
    if (fx == 0) return x;
    if ((fx > 0) == (fb > 0)) {
      fa /= 2;
    } else {
      a = b;
      fa = fb;
    }
    const double step = std::abs(x - b);
    b = x;
    fb = fx;
    if (step < 1e-12 * b) break;
  }
  return b;
}

// Roots of f between the first and the last of ascending points. Finds those that a grid of eight intervals between
// neighbouring points separates.
std::vector<double> roots(const Series& f, const std::vector<double>& points) {
  constexpr int kIntervals = 8;
  std::vector<double> out;
  double a = points[0], fa = ckks::chebyshev_value(f, a);
  for (std::size_t i = 1; i < points.size(); ++i) {
    for (int j = 1; j <= kIntervals; ++j) {
      const double b = std::lerp(points[i - 1], points[i], static_cast<double>(j) / kIntervals),
                   fb = ckks::chebyshev_value(f, b);
      if ((fa > 0) != (fb > 0)) out.push_back(root(f, a, fa, b, fb));
      a = b;
      fa = fb;
    }
  }
  return out;
}

// Solves a square system, given as rows with the right-hand side last, by elimination with row pivoting.
std::vector<double> solve(std::vector<std::vector<double>> rows) {
  const std::size_t n = rows.size();
  for (std::size_t k = 0; k < n; ++k) {
    const auto larger = [k](const auto& r, const auto& s) { return std::abs(r[k]) < std::abs(s[k]); };
    std::iter_swap(rows.begin() + k, std::max_element(rows.begin() + k, rows.end(), larger));
    for (std::size_t i = k + 1; i < n; ++i) {
      const double f = rows[i][k] / rows[k][k];
      for (std::size_t j = k; j <= n; ++j) rows[i][j] -= f * rows[k][j];
    }
  }
  std::vector<double> x(n);
  for (std::size_t k = n; k-- > 0;) {
    double sum = rows[k][n];
    for (std::size_t j = k + 1; j < n; ++j) sum -= rows[k][j] * x[j];
    x[k] = sum / rows[k][k];
  }
  return x;
}

// T_first(x), T_first+2(x), .. (count values).
std::vector<double> every_other_chebyshev(int first, std::size_t count, double x) {
  std::vector<double> t(count);
  for (std::size_t k = 0; k < count; ++k) t[k] = std::cos((first + 2.0 * static_cast<double>(k)) * std::acos(x));
  return t;
}

struct SignFactor {
  Series series;
  double from = 0;  // on [from, 1] the values lie in [1 - error, 1 + error], on [0, from] they rise from 0
};

// The odd polynomial that is the minimax approximation of the sign on from <= |x| <= 1 with the given error in (0, 1).
//
// With the error given instead of `from`, its m = (degree + 1) / 2 largest alternation points (m - 1 extrema and 1)
// determine it, so the exchange of Remez is Newton's method for these values: p, which alternates between 1 + error and
// 1 - error at the last points, always has exactly m - 1 positive extrema, which are the next points.
SignFactor sign_factor(int degree, double error) {
  const std::size_t m = static_cast<std::size_t>(degree + 1) / 2;
  // p(x) / x approximates 1 / sqrt(y) at y = x^2 with a rate given by the ellipse through the singularity 0 and with
  // the foci from^2 and 1; alternation points like those of Chebyshev polynomials there.
  const double rate = std::pow(error, 1.0 / static_cast<double>(m)), from = (1 - rate) / (1 + rate);
  std::vector<double> points(m);
  for (std::size_t i = 0; i < m; ++i) {
    const double angle = std::numbers::pi * static_cast<double>(i + 1) / static_cast<double>(m);
    points[i] = std::sqrt(std::lerp(from * from, 1, (1 - std::cos(angle)) / 2));
  }
  points.back() = 1;
  const auto wanted = [error](std::size_t i) { return i % 2 == 0 ? 1 + error : 1 - error; };
  SignFactor p{Series(2 * m)};
  for (int iteration = 0; iteration < 50; ++iteration) {
    std::vector<std::vector<double>> rows(m);
    for (std::size_t i = 0; i < m; ++i) {
      rows[i] = every_other_chebyshev(1, m, points[i]);
      rows[i].push_back(wanted(i));
    }
    const std::vector<double> odd = solve(rows);
    for (std::size_t k = 0; k < m; ++k) p.series[2 * k + 1] = odd[k];
    points.insert(points.begin(), 0);
    points = roots(derivative(p.series), points);
    check(points.size() + 1 == m, "a sign polynomial has lost an extremum");
    points.push_back(1);
    double deviation = 0;
    for (std::size_t i = 0; i < m; ++i)
      deviation = std::max(deviation, std::abs(ckks::chebyshev_value(p.series, points[i]) - wanted(i)));
    if (deviation > 1e-8 * std::min(error, 1 - error)) continue;
    Series above = p.series;
    above[0] -= 1 - error;
    p.from = roots(above, {0, points[0]}).at(0);
    return p;
  }
  internal_error("a sign polynomial does not converge");
}

int depth_of(int degree) { return std::bit_width(static_cast<unsigned>(degree)); }

// Products for an odd series, or an even one plus a multiple of x.
int products_of(int degree) {
  Series series(static_cast<std::size_t>(degree) + 1);
  for (int k = degree; k >= 0; k -= 2) series[static_cast<std::size_t>(k)] = 1.0 / (k + 1);
  if (degree % 2 == 0) series[1] = 1;
  return ckks::chebyshev_products(series);
}

// max |p - relu| on a grid over [0, 1]; for negative x the error of both kinds is the same as for -x. The grid is
// geometric, since the sign polynomials are alike at all scales.
double measured_error(const ReluApproximation& p) {
  constexpr int kPoints = 8192;
  const double ratio = std::pow(kLeastError / 64, 1.0 / kPoints);
  double error = std::abs(evaluate(p, 0)), x = 1;
  for (int i = 0; i < kPoints; ++i, x *= ratio) error = std::max(error, std::abs(evaluate(p, x) - x));
  return error;
}

// What the factor before may err if the next one needs inputs in [from, kRoom]; not positive: nothing. Not more than
// sign_factor can do, which no composite of use comes near.
double error_before(double from) { return std::min((kRoom - from) / (kRoom + from), 1 - 0x1p-18); }

// The composite of these degrees whose sign errs by 2 `error` where it is close, and is close from the least x on.
// Its own error is larger if what remains between 0 and that x errs by more; infinite if there is no such composite.
ReluApproximation composite_for(const std::vector<int>& degrees, double error) {
  ReluApproximation p{ReluApproximation::Kind::composite, {}, error, 1, 1};
  double sign_error = 2 * error * (1 - kSlack), scale = 1;
  for (std::size_t i = degrees.size(); i-- > 0;) {
    if (sign_error <= 0) return {ReluApproximation::Kind::composite, {}, HUGE_VAL, 0, 0};
    SignFactor factor = sign_factor(degrees[i], sign_error);
    for (double& c : factor.series) c *= scale;
    p.factors.insert(p.factors.begin(), std::move(factor.series));
    sign_error = error_before(factor.from);
    scale = kRoom / (1 + sign_error);
    p.depth += depth_of(degrees[i]);
    p.products += products_of(degrees[i]);
  }
  p.error = std::max(error, measured_error(p));
  return p;
}

// The composite of least error, given one that it can reach. The smaller the error of the sign, the later it is close:
// bisection for the error at which both balance.
ReluApproximation balanced_composite(const std::vector<int>& degrees, double reached) {
  double missed = kLeastError / 2;
  while (reached > missed * (1 + 1e-6)) {
    const double middle = std::sqrt(missed * reached);
    (composite_for(degrees, middle).error <= middle ? reached : missed) = middle;
  }
  return composite_for(degrees, reached);
}

// Factors behind another one.
struct Chain {
  std::vector<int> degrees;
  int products = 0;
  double input_error = 0;  // what the factor before may err
};

// Chains by depth: for each number of products only the one that allows the largest error before it, which serves any
// factor best.
void add_chains(std::vector<std::vector<Chain>>& by_depth) {
  const int depth = static_cast<int>(by_depth.size());
  std::vector<Chain> all, best;
  for (int degree = 3; degree <= kHighestFactor; degree += 2) {
    if (depth_of(degree) > depth) break;
    for (const Chain& rest : by_depth[static_cast<std::size_t>(depth - depth_of(degree))]) {
      Chain chain{
          {degree}, rest.products + products_of(degree), error_before(sign_factor(degree, rest.input_error).from)};
      if (chain.input_error <= 0) continue;
      chain.degrees.insert(chain.degrees.end(), rest.degrees.begin(), rest.degrees.end());
      all.push_back(std::move(chain));
    }
  }
  std::ranges::sort(all, [](const Chain& a, const Chain& b) {
    return a.products != b.products ? a.products < b.products : a.input_error > b.input_error;
  });
  for (Chain& chain : all)
    if (best.empty() || chain.input_error > best.back().input_error) best.push_back(std::move(chain));
  by_depth.push_back(std::move(best));
}

}  // namespace

ReluApproximation approximate_relu(double error) {
  if (!(error >= kLeastError && error <= kMostError))
    throw Error(ErrorCode::usage,
                "the error of an approximate ReLU must be at least 2^-20 (0.00000095) and at most 0.25");
  // The highest degree of a depth costs no level more than a lower one.
  for (int degree = 2; degree <= kHighestSingle; degree = 2 * degree + 2) {
    ReluApproximation p = single_relu(degree);
    if (p.error <= error) return p;
  }
  std::vector<std::vector<Chain>> by_depth{{Chain{{}, 0, 2 * error}}};
  for (;;) {
    add_chains(by_depth);
    for (const Chain& chain : by_depth.back())
      if (composite_for(chain.degrees, error).error <= error) return balanced_composite(chain.degrees, error);
  }
}

ReluApproximation composite_relu(const std::vector<int>& degrees) {
  check(!degrees.empty(), "a composite without factors");
  for (int degree : degrees)
    check(degree % 2 == 1 && degree >= 3 && degree <= kHighestFactor, "degree of a sign polynomial out of range");
  return balanced_composite(degrees, kMostError);
}

ReluApproximation minimax_15_15_27() { return composite_relu({15, 15, 27}); }

ReluApproximation single_relu(int degree) {
  check(degree % 2 == 0 && degree >= 2 && degree <= kHighestSingle, "degree of a series of |x| out of range");
  ReluApproximation p{ReluApproximation::Kind::single, {}, 0, depth_of(degree), products_of(degree)};
  // |x| = 2 / pi + (4 / pi) sum over k >= 1 of (-1)^(k + 1) T_2k(x) / (4 k^2 - 1)
  Series series(static_cast<std::size_t>(degree) + 1);
  series[0] = 1 / std::numbers::pi;
  series[1] = 0.5;
  for (int k = 1; 2 * k <= degree; ++k)
    series[static_cast<std::size_t>(2 * k)] = (k % 2 == 1 ? 2 : -2) / (std::numbers::pi * (4.0 * k * k - 1));
  p.factors.push_back(std::move(series));
  p.error = measured_error(p);
  return p;
}

double evaluate(const ReluApproximation& p, double x) {
  double y = x;
  for (const Series& factor : p.factors) y = ckks::chebyshev_value(factor, y);
  return p.kind == ReluApproximation::Kind::composite ? x * (1 + y) / 2 : y;
}

}  // namespace sotto::compiler
