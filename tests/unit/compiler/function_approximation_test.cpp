// Polynomials for activations against the functions themselves, at random points.
#include "compiler/function_approximation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "compiler/relu_approximation.h"
#include "support/expect_error.h"

namespace sotto::compiler {
namespace {

using graph::Function;
using Kind = Function::Kind;

Function function(Kind kind, double range, double alpha = 0, double beta = 0) {
  Function f = Function::of(kind, alpha, beta);
  f.range = range;
  return f;
}

struct Sampled {
  double error = 0, low = HUGE_VAL, high = -HUGE_VAL, largest_over_range = 0;
};

Sampled sampled(const Function& f, const FunctionApproximation& p) {
  std::mt19937_64 random(7);
  std::uniform_real_distribution<double> uniform(-f.range, f.range);
  Sampled s;
  for (int i = 0; i < 20000; ++i) {
    const double x = i == 0 ? -f.range : i == 1 ? f.range : uniform(random);
    s.error = std::max(s.error, std::abs(p(x) - f(x)));
    s.low = std::min(s.low, f(x));
    s.high = std::max(s.high, f(x));
    for (const auto& piece : p.pieces)
      s.largest_over_range =
          std::max(s.largest_over_range, std::abs(piece.activation(x + piece.shift)) / piece.activation.range);
  }
  return s;
}

std::vector<Function> functions() {
  std::vector<Function> list;
  for (double range : {0.5, 3.0, 8.0, 20.0}) {
    for (Kind kind : {Kind::relu, Kind::softplus, Kind::softsign, Kind::sigmoid, Kind::hard_swish, Kind::gelu,
                      Kind::gelu_tanh, Kind::tanh, Kind::mish, Kind::erf, Kind::abs})
      list.push_back(function(kind, range));
    list.push_back(function(Kind::silu, range, 1));
    list.push_back(function(Kind::elu, range, 1));
    list.push_back(function(Kind::celu, range, 0.5));
    list.push_back(function(Kind::selu, range, 1.6732632, 1.0507010));
    list.push_back(function(Kind::leaky_relu, range, 0.01));
    list.push_back(function(Kind::leaky_relu, range, -0.3));
    list.push_back(function(Kind::leaky_relu, range, 2));
    list.push_back(function(Kind::hard_sigmoid, range, 0.2, 0.5));
    list.push_back(function(Kind::hard_sigmoid, range, -0.2, 0.5));
    list.push_back(function(Kind::clip, range, 0, 6));
    list.push_back(function(Kind::clip, range, -1, 1));
    list.push_back(function(Kind::clip, range, 1, INFINITY));
    list.push_back(function(Kind::clip, range, -INFINITY, -0.25));
  }
  return list;
}

TEST(ApproximateFunctions, KeepTheirErrors) {
  for (const Function& f : functions()) {
    for (double error : {0.02, 0.0051}) {
      SCOPED_TRACE(::testing::Message() << f.name() << " " << f.range << " " << error);
      const auto p = approximate(f, error);
      ASSERT_TRUE(p.has_value());
      const Sampled s = sampled(f, *p);
      EXPECT_LE(p->error, error * (s.high - s.low) * (1 + 1e-6));
      EXPECT_LE(s.error, p->error * 1.001 + 1e-12);
      EXPECT_LE(s.largest_over_range, 1 + 3 * error) << "noise of bootstrapping is as large as the range allows";
    }
  }
}

TEST(ApproximateFunctions, SmallValuesAreBroughtToTheRange) {
  const Function f = function(Kind::sigmoid, 40);
  const auto p = approximate(f, 0.0051);
  ASSERT_TRUE(p);
  ASSERT_EQ(p->pieces.size(), 1u);
  EXPECT_NEAR(p->offset, 0.5, 1e-9);
  EXPECT_NEAR(p->pieces[0].gain, 0.5 / 40, 1e-9);
  EXPECT_GT(sampled(f, *p).largest_over_range, 0.99);
}

TEST(ApproximateFunctions, SmoothOnesTakeFewLevels) {
  EXPECT_LE(approximate(function(Kind::sigmoid, 8, 0), 0.0051)->depth(), 4);
  EXPECT_LE(approximate(function(Kind::gelu, 8, 0), 0.0051)->depth(), 4);
  EXPECT_LE(approximate(function(Kind::silu, 8, 1), 0.0051)->depth(), 4);
  EXPECT_EQ(approximate(function(Kind::clip, 0.5, -1, 1), 0.0051)->depth(), 1) << "a straight line on its range";
  EXPECT_LT(approximate(function(Kind::clip, 0.5, -1, 1), 0.0051)->error, 1e-12);
  EXPECT_EQ(approximate(function(Kind::clip, 0.5, 2, 3), 0.0051)->depth(), 1) << "a constant on its range";
  EXPECT_LT(approximate(function(Kind::clip, 0.5, 2, 3), 0.0051)->error, 1e-12);
}

TEST(ApproximateFunctions, ReluIsThatOfReluApproximation) {
  for (double error : {0.0051, 0x1p-12}) {
    const auto p = approximate(function(Kind::relu, 8), error);
    const ReluApproximation relu = approximate_relu(error);
    ASSERT_TRUE(p);
    ASSERT_EQ(p->pieces.size(), 1u);
    EXPECT_EQ(p->pieces[0].gain, 1);
    EXPECT_EQ(p->offset, 0);
    EXPECT_EQ(p->depth(), relu.depth);
    for (double x : {-8.0, -0.3, 0.0, 0.7, 8.0}) EXPECT_NEAR((*p)(x), 8 * evaluate(relu, x / 8), 1e-12);
  }
}

TEST(ApproximateFunctions, BendsHaveCompositesWhereASeriesIsTooShort) {
  // One bend at 0, one elsewhere, two of them: errors that no series of degree 255 reaches.
  for (const Function& f :
       {function(Kind::leaky_relu, 8, 0.1), function(Kind::abs, 8), function(Kind::clip, 8, 1, INFINITY),
        function(Kind::clip, 40, 0, 6), function(Kind::clip, 8, -INFINITY, 2)}) {
    SCOPED_TRACE(f.name());
    const double error = f.range == 40 ? 0.0051 : 0x1p-11;
    const auto p = approximate(f, error);
    ASSERT_TRUE(p);
    for (const auto& piece : p->pieces) EXPECT_TRUE(piece.activation.gate);
    const Sampled s = sampled(f, *p);
    EXPECT_LE(s.error, error * (s.high - s.low));
    EXPECT_LE(s.largest_over_range, 1.001);
  }
}

TEST(ApproximateFunctions, NothingForWhatNoPolynomialFollows) {
  EXPECT_FALSE(approximate(function(Kind::tanh, 5000), 0.0051));
  EXPECT_FALSE(approximate(function(Kind::hard_swish, 40), 0x1p-16));
  EXPECT_FALSE(approximate(function(Kind::clip, 1e6, 0, 6), 0.0051));
  Function overflow = function(Kind::relu, 1e200);
  overflow.steps.push_back({Kind::product, 0, 0, 1, 1});
  EXPECT_FALSE(approximate(overflow, 0.0051));
  for (double error : {0.0, 0.26, 0x1p-21, static_cast<double>(NAN)})
    EXPECT_TRUE(
        test::fails_with([&] { (void)approximate(function(Kind::tanh, 1), error); }, ErrorCode::usage, {"0.25"}));
}

}  // namespace
}  // namespace sotto::compiler
