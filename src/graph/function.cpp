#include "graph/function.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace sotto::graph {

namespace {

using Kind = Function::Kind;

double sigmoid(double x) { return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x)); }
double softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }

double value(const Function::Step& s, double x, double y) {
  switch (s.kind) {
    case Kind::relu:
      return std::max(x, 0.0);
    case Kind::clip:
      return std::min(std::max(x, s.alpha), s.beta);
    case Kind::leaky_relu:
      return x < 0 ? s.alpha * x : x;
    case Kind::elu:
      return x < 0 ? s.alpha * std::expm1(x) : x;
    case Kind::selu:
      return s.beta * (x < 0 ? s.alpha * std::expm1(x) : x);
    case Kind::celu:
      return x < 0 ? s.alpha * std::expm1(x / s.alpha) : x;
    case Kind::softplus:
      return softplus(x);
    case Kind::softsign:
      return x / (1 + std::abs(x));
    case Kind::sigmoid:
      return sigmoid(x);
    case Kind::hard_sigmoid:
      return std::clamp(s.alpha * x + s.beta, 0.0, 1.0);
    case Kind::hard_swish:
      return x * std::clamp(x / 6 + 0.5, 0.0, 1.0);
    case Kind::silu:
      return x * sigmoid(s.alpha * x);
    case Kind::gelu:
      return x / 2 * (1 + std::erf(x / std::numbers::sqrt2));
    case Kind::gelu_tanh:
      return x / 2 * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
    case Kind::tanh:
      return std::tanh(x);
    case Kind::mish:
      return x * std::tanh(softplus(x));
    case Kind::erf:
      return std::erf(x);
    case Kind::abs:
      return std::abs(x);
    case Kind::exp:
      return std::exp(x);
    case Kind::reciprocal:
      return 1 / x;
    case Kind::greater:
      return x > s.alpha || (s.beta != 0 && x == s.alpha) ? 1 : 0;
    case Kind::affine:
      return s.alpha * x + s.beta;
    case Kind::sum:
      return x + y;
    case Kind::product:
      return x * y;
  }
  return NAN;
}

// Poles are looked for at both signs of 2^-20 .. 2^20.
constexpr int kPoleOctaves = 20, kPointsPerOctave = 16, kPolePoints = 2 * kPoleOctaves * kPointsPerOctave;
constexpr double kNearZero = 1e-3;
constexpr int kThirds = 100;

double pole_point(int k) {
  const double size = std::exp2(static_cast<double>(std::abs(k)) / kPointsPerOctave - kPoleOctaves);
  return k == 0 ? 0 : std::copysign(size, k);
}

constexpr const char* kNames[] = {
    "Relu",    "Clip",        "LeakyRelu", "Elu",        "Selu",    "Celu", "Softplus", "Softsign",
    "Sigmoid", "HardSigmoid", "HardSwish", "Swish",      "Gelu",    "Gelu", "Tanh",     "Mish",
    "Erf",     "Abs",         "Exp",       "Reciprocal", "Greater", "",     "",         ""};

}  // namespace

Function Function::of(Kind kind, double alpha, double beta) { return {{{kind, alpha, beta, 0, 0}}, 0}; }

double Function::operator()(double x) const {
  apply({&x, 1});
  return x;
}

void Function::apply(std::span<double> values) const {
  if (steps.size() == 1) {
    for (double& x : values) x = value(steps[0], x, x);
    return;
  }
  std::vector<double> at(steps.size() + 1);
  for (double& x : values) {
    at[0] = x;
    run(at);
    x = at.back();
  }
}

bool Function::has_pole() const {
  for (std::size_t i = 0; i < steps.size(); ++i)
    if (steps[i].kind == Kind::reciprocal && divides_by_zero(static_cast<std::size_t>(steps[i].left))) return true;
  return false;
}

bool Function::divides_by_zero(std::size_t value) const {
  std::vector<double> at(steps.size() + 1);
  const auto divisor = [&](double x) {
    at[0] = x;
    run(at);
    return at[value];
  };
  // The lowest point of a valley of the divisor's magnitude, by ternary search.
  const auto depth = [&](double low, double high) {
    for (int n = 0; n < kThirds; ++n) {
      const double a = low + (high - low) / 3, b = high - (high - low) / 3;
      if (std::abs(divisor(a)) < std::abs(divisor(b)))
        high = b;
      else
        low = a;
    }
    return std::abs(divisor((low + high) / 2));
  };
  double before = HUGE_VAL, last = HUGE_VAL, sign = 0;  // of the two points before
  for (int k = -kPolePoints; k <= kPolePoints; ++k) {
    const double v = divisor(pole_point(k)), size = std::abs(v);
    if (size < kNearZero || v * sign < 0) return true;
    if (last < before && last < size && depth(pole_point(k - 2), pole_point(k)) < kNearZero) return true;
    before = last;
    last = size;
    sign = std::copysign(1, v);
  }
  return false;
}

void Function::run(std::span<double> at) const {
  for (std::size_t k = 0; k < steps.size(); ++k)
    at[k + 1] =
        value(steps[k], at[static_cast<std::size_t>(steps[k].left)], at[static_cast<std::size_t>(steps[k].right)]);
}

std::string Function::name() const {
  std::string text;
  for (const Step& s : steps) {
    const std::string part = kNames[static_cast<std::size_t>(s.kind)];
    if (!part.empty()) text += (text.empty() ? "" : " ") + part;
  }
  return steps.size() == 1 ? text : "function of " + text;
}

}  // namespace sotto::graph
