#include "compiler/function_approximation.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"
#include "ckks/chebyshev.h"
#include "compiler/relu_approximation.h"

namespace sotto::compiler {

namespace {

using graph::Function;
using Kind = Function::Kind;
using Piece = FunctionApproximation::Piece;

constexpr int kHighestDegree = 255;
constexpr int kNodes = 4096;  // at which a function is sampled
constexpr double kLeastError = 0x1p-20, kMostError = 0.25;
constexpr double kTiny =
    1e-13;  // coefficients of a series that are rounding, as those of odd powers of an even function

// A function of straight lines: `left` is the slope before the first bend.
struct Lines {
  struct Bend {
    double at, change;  // of the slope
  };
  double left = 0;
  std::vector<Bend> bends;
};

std::optional<Lines> lines_of(const Function& f) {
  if (f.steps.size() != 1) return std::nullopt;
  const Function::Step& s = f.steps.front();
  Lines lines;
  switch (s.kind) {
    case Kind::relu:
      return Lines{0, {{0, 1}}};
    case Kind::leaky_relu:
      return Lines{s.alpha, {{0, 1 - s.alpha}}};
    case Kind::abs:
      return Lines{-1, {{0, 2}}};
    case Kind::clip:
      lines = {0, {{s.alpha, 1}, {s.beta, -1}}};
      break;
    case Kind::hard_sigmoid:
      if (s.alpha == 0) return std::nullopt;
      lines = {0, {{-s.beta / s.alpha, s.alpha}, {(1 - s.beta) / s.alpha, -s.alpha}}};
      if (s.alpha < 0) std::swap(lines.bends[0].at, lines.bends[1].at);
      break;
    default:
      return std::nullopt;
  }
  // Bends beyond the range only change the slope before the first one.
  Lines within{lines.left, {}};
  for (const auto& bend : lines.bends) {
    if (bend.at <= -f.range)
      within.left += bend.change;
    else if (bend.at < f.range)
      within.bends.push_back(bend);
  }
  return within;
}

// Arguments from -range to range, dense towards the ends, with the bends.
std::vector<double> samples(const Function& f) {
  std::vector<double> x;
  for (int j = 0; j <= kNodes; ++j) x.push_back(f.range * std::cos(std::numbers::pi * j / kNodes));
  if (const auto lines = lines_of(f))
    for (const auto& bend : lines->bends) x.push_back(bend.at);
  return x;
}

// The largest error at the samples, and between the worst of them and its neighbours: it may be at a bend.
double measured_error(const FunctionApproximation& p, const Function& f, const std::vector<double>& at) {
  const auto error_at = [&](double x) { return std::abs(p(x) - f(x)); };
  double error = 0, worst = 0;
  for (double x : at) {
    const double here = error_at(x);
    if (here > error) {
      error = here;
      worst = x;
    }
  }
  constexpr int kBetween = 64;
  const double step = f.range * std::numbers::pi / kNodes / kBetween;  // samples are no further apart than this many
  for (int k = -kBetween; k <= kBetween; ++k)
    error = std::max(error, error_at(std::clamp(worst + k * step, -f.range, f.range)));
  return error;
}

// Coefficients of T_0 .. T_255 of f(range x).
std::vector<double> series_of(const Function& f) {
  std::vector<double> value(kNodes), cosine(4 * kNodes), series(kHighestDegree + 1);
  for (int k = 0; k < 4 * kNodes; ++k)
    cosine[static_cast<std::size_t>(k)] = std::cos(std::numbers::pi * k / (2 * kNodes));
  for (int j = 0; j < kNodes; ++j)
    value[static_cast<std::size_t>(j)] = f.range * cosine[static_cast<std::size_t>(2 * j + 1)];
  f.apply(value);
  for (int k = 0; k <= kHighestDegree; ++k) {
    double sum = 0;
    for (int j = 0; j < kNodes; ++j)
      sum += value[static_cast<std::size_t>(j)] * cosine[static_cast<std::size_t>(k * (2 * j + 1) % (4 * kNodes))];
    series[static_cast<std::size_t>(k)] = sum * (k == 0 ? 1 : 2) / kNodes;
  }
  return series;
}

// The series of the whole function. low, high: of its values.
std::optional<FunctionApproximation> by_series(const Function& f, double error, double low, double high,
                                               const std::vector<double>& at) {
  // Comparable with the argument: left as it is.
  const bool as_is = low >= -f.range && high <= f.range && high - low >= f.range / 2;
  const double offset = as_is ? 0 : (low + high) / 2, span = as_is || high == low ? f.range : (high - low) / 2;
  std::vector<double> whole = series_of(f);
  whole[0] -= offset;
  double largest = 0;
  for (double& c : whole) largest = std::max(largest, std::abs(c /= span));
  for (double& c : whole)
    if (std::abs(c) <= kTiny * std::max(largest, 1.0)) c = 0;
  for (int degree = 1; degree <= kHighestDegree; degree = 2 * degree + 1) {
    std::vector<double> series(whole.begin(), whole.begin() + degree + 1);
    FunctionApproximation p{{{0, {f.range, false, {std::move(series)}}, span / f.range}}, offset, 0};
    p.error = measured_error(p, f, at);
    if (p.error <= error) return p;
  }
  return std::nullopt;
}

// x (left + change (1 + s(x)) / 2) with s close to the sign, or left x + change relu(x) by a series: what bends at 0.
// error: that it may have; then that it has.
std::optional<Piece> one_bend(double left, double change, double range, double& error) {
  const double wanted = error / (range * std::abs(change));
  if (!(wanted >= kLeastError * (1 - 1e-9))) return std::nullopt;
  ReluApproximation relu = approximate_relu(std::clamp(wanted, kLeastError, kMostError));
  error = relu.error * range * std::abs(change);
  const double gain = std::max(std::abs(left), std::abs(left + change));
  const bool gate = relu.kind == ReluApproximation::Kind::composite;
  for (double& c : relu.factors.back()) c *= change / gain * (gate ? 0.5 : 1);
  relu.factors.back()[gate ? 0 : 1] += (left + (gate ? change / 2 : 0)) / gain;
  return Piece{0, {range, gate, std::move(relu.factors)}, gain};
}

// Every bend by itself, the slope before the first one with the first bend.
std::optional<FunctionApproximation> by_bends(const Function& f, const Lines& lines, double error) {
  FunctionApproximation p;
  double left = lines.left;
  for (const auto& bend : lines.bends) {
    double share = error / static_cast<double>(lines.bends.size());
    auto piece = one_bend(left, bend.change, f.range + std::abs(bend.at), share);
    if (!piece) return std::nullopt;
    p.error += share;
    piece->shift = -bend.at;
    p.pieces.push_back(std::move(*piece));
    left = 0;
  }
  p.offset = f(lines.bends.front().at);  // there all pieces are to be zero
  return p;
}

}  // namespace

int FunctionApproximation::depth() const {
  int levels = 0;
  for (const Piece& p : pieces) levels = std::max(levels, p.activation.depth());
  return levels;
}

double FunctionApproximation::operator()(double x) const {
  double y = offset;
  for (const Piece& p : pieces) y += p.gain * p.activation(x + p.shift);
  return y;
}

std::optional<FunctionApproximation> approximate(const Function& f, double error) {
  check(f.range > 0, "a function without a range");
  if (!(error >= kLeastError && error <= kMostError))
    throw Error(ErrorCode::usage,
                "the error of an activation's polynomial must be at least 2^-20 (0.00000095) and at most 0.25");
  const std::vector<double> at = samples(f);
  double low = HUGE_VAL, high = -HUGE_VAL;
  for (double x : at) {
    const double y = f(x);
    if (!std::isfinite(y)) return std::nullopt;
    low = std::min(low, y);
    high = std::max(high, y);
  }
  const double most = error * (high - low);
  const auto lines = lines_of(f);
  if (lines && lines->bends.size() == 1 && lines->bends[0].at == 0) return by_bends(f, *lines, most);
  if (auto p = by_series(f, most, low, high, at)) return p;
  return lines && !lines->bends.empty() ? by_bends(f, *lines, most) : std::nullopt;
}

}  // namespace sotto::compiler
