// The float64 interpretation of plans on values that can be checked by hand.
#include "circuit/interpret.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "circuit/gradient.h"
#include "plan/describe.h"
#include "support/expect_error.h"
#include "support/plan_builder.h"

namespace sotto::plan {
namespace {

using namespace test::kinds;
using Values = std::vector<double>;

Values counting(std::size_t n) {
  Values v(n);
  for (std::size_t i = 0; i < n; ++i) v[i] = static_cast<double>(i + 1);
  return v;
}

Plan one_step(Layout in, Term term, Layout out, Values bias, test::StepKind kind) {
  test::PlanBuilder b(8, 4, in, 3);
  b.step({std::move(term)}, out, kind);
  b.plan.steps[0].bias = std::move(bias);
  return b.plan;
}

Values run(const Plan& plan, const Values& image) { return circuit::interpret(view(plan), image); }

TEST(Interpret, ConvolutionWithStrideAndPads) {
  const Term t{Term::Kind::convolution, 0, 1, 2, 1, 2, 0, 1, {10, 1}};
  EXPECT_EQ(run(one_step({1, 1, 4, 1, 1}, t, {1, 1, 2, 1, 1}, {0.5}, keep), counting(4)), (Values{1.5, 23.5}));
  EXPECT_EQ(run(one_step({1, 1, 4, 1, 1}, t, {1, 1, 2, 1, 1}, {0.5, -3}, square), counting(4)), (Values{2.25, 400}));
}

TEST(Interpret, FullTermsSumAllPixels) {
  const Term t{Term::Kind::full, 0, 1, 1, 1, 1, 0, 0, {1, 0, 0, 1, 0, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1}};
  EXPECT_EQ(run(one_step({2, 2, 2, 1, 1}, t, {2, 1, 1, 1, 4}, {0, 1}, keep), counting(8)), (Values{1 + 4 + 6 + 7, 37}));
}

// d scores / d values of products, against small changes of the values themselves.
TEST(Interpret, ProductsAndTheirGradients) {
  circuit::Circuit c;
  c.values = {{"x", {2, 1, 2}}, {"a", {2, 1, 2}}, {"b", {2, 1, 1}}, {"ab", {2, 1, 2}}, {"sum", {1, 1, 1}}};
  const auto sum = [&](int output, Term t, Values bias) {
    circuit::Op op;
    op.output = output;
    op.terms = {std::move(t)};
    op.bias = std::move(bias);
    c.ops.push_back(std::move(op));
  };
  sum(1, {.weights = {1, 2, 3, 4}}, {1, -1});
  sum(2, {.kind = Term::Kind::full, .weights = {1, 0, 0, 1, 2, 0, 0, -1}}, {0, 3});
  c.ops.push_back(circuit::copy_op("ab", 3, {1, 2}, Kind::multiply));
  sum(4, {.kind = Term::Kind::full, .source = 3, .weights = {1, 2, 3, 4}}, {0.5});
  const Values x{1, 2, 3, 4};
  // a: 1 + 2 * 3 + 1 and 2 + 2 * 4 + 1, then 3 + 4 * 3 - 1 and 6 + 4 * 4 - 1; b: 1 + 4 and 2 - 4 + 3.
  EXPECT_EQ(circuit::interpret(c, x), (Values{5 * (8 + 2 * 11) + 1 * (3 * 14 + 4 * 21) + 0.5}));
  const circuit::Trace run = circuit::trace(c, x), slopes = circuit::gradient(c, run, Values{1});
  for (std::size_t k = 0; k < x.size(); ++k) {
    Values more = x, less = x;
    more[k] += 0.5;
    less[k] -= 0.5;  // exact for a quadratic
    EXPECT_NEAR(slopes.values[0][k], circuit::interpret(c, more)[0] - circuit::interpret(c, less)[0], 1e-9) << k;
  }
}

// <A x, y> = <x, A' y>, for convolutions of every kind: planes large enough to be shifted, and others.
TEST(Interpret, GradientsAreTheTranspose) {
  struct Case {
    int height, out_height, stride, pad, dilation, kernel;
  };
  for (const Case& c : {Case{6, 6, 1, 1, 1, 3},
                        {6, 4, 1, 0, 1, 3},
                        {6, 8, 1, 3, 2, 3},
                        {6, 6, 1, 20, 20, 3},
                        {6, 3, 2, 1, 1, 3},
                        {3, 3, 1, 1, 1, 3},
                        {6, 3, 1, -1, 1, 2}}) {
    Term t{Term::Kind::convolution, 0, c.kernel, c.kernel, c.stride, c.stride, c.pad, c.pad, {}};
    t.dilation_h = t.dilation_w = c.dilation;
    for (int k = 0; k < 2 * 3 * c.kernel * c.kernel; ++k) t.weights.push_back(std::sin(k + 1.0));
    const Layout in{2, c.height, c.height, 1, 1}, out{3, c.out_height, c.out_height, 1, 1};
    const Plan plan = one_step(in, t, out, Values(3, 0.0), keep);
    Values x(static_cast<std::size_t>(2 * c.height * c.height)),
        y(static_cast<std::size_t>(3 * c.out_height * c.out_height));
    for (std::size_t k = 0; k < x.size(); ++k) x[k] = std::cos(3.0 * static_cast<double>(k));
    for (std::size_t k = 0; k < y.size(); ++k) y[k] = std::sin(5.0 * static_cast<double>(k));
    const circuit::Trace trace = circuit::trace(view(plan), x);
    const Values transposed = circuit::gradient(view(plan), trace, y).values[0], product = trace.scores(view(plan));
    double left = 0, right = 0;
    for (std::size_t k = 0; k < y.size(); ++k) left += product[k] * y[k];
    for (std::size_t k = 0; k < x.size(); ++k) right += x[k] * transposed[k];
    EXPECT_NEAR(left, right, 1e-12 * std::max(1.0, std::abs(left))) << c.height << " " << c.dilation;
  }
}

TEST(Interpret, RescaledStepsKeepTheirValuesAndTermsAddUp) {
  test::PlanBuilder b(8, 4, {1, 2, 2, 1, 1}, 3);
  Term twice{Term::Kind::convolution, 0, 1, 1, 1, 1, 0, 0, {2}}, thrice = twice;
  thrice.weights = {3};
  const int x = b.step({twice, thrice}, {1, 2, 2, 1, 1}, rescale);
  b.plan.steps[0].bias = {1};
  b.step({b.full(x, 1)}, {1, 1, 1, 1, 4}, keep);
  std::vector<int> seen;
  Values middle;
  circuit::interpret(view(b.plan), counting(4), [&](int t, std::span<const double> v) {
    seen.push_back(t);
    if (t == 1) middle.assign(v.begin(), v.end());
  });
  EXPECT_EQ(seen, (std::vector<int>{0, 1, 2}));
  EXPECT_EQ(middle, (Values{6, 11, 16, 21}));
}

TEST(Interpret, ActivationsArePolynomialsOverTheirRange) {
  // T_2(t) = 2 t^2 - 1, T_3(t) = 4 t^3 - 3 t.
  const Activation square{2, false, {{0, 0, 1}}};
  EXPECT_EQ(square(0), -2);
  EXPECT_EQ(square(1), -1);
  EXPECT_EQ(square(-2), 2);
  EXPECT_EQ(square.depth(), 2);
  const Activation gate{2, true, {{0.5, 0.5}}};  // x (1 + t) / 2
  EXPECT_EQ(gate(-2), 0);
  EXPECT_EQ(gate(1), 0.75);
  EXPECT_EQ(gate(2), 2);
  EXPECT_EQ(gate.depth(), 2) << "one for the product";
  const Activation both{4, true, {{0, 0, 1}, {1, 0, 0, 1}}};  // t (1 + T_3(T_2(t))), t = 1 / 2: T_2 = -1/2, T_3 = 1
  EXPECT_EQ(both(2), 4);
  EXPECT_EQ(both(-2), -4);
  EXPECT_EQ(both.depth(), 2 + 2 + 1);
  EXPECT_EQ((Activation{1, false, {{0, 1, 0, 0, 0}}}.depth()), 1) << "of the degree that it has";
}

TEST(Interpret, SlotwiseStepsWorkOnACopy) {
  test::PlanBuilder b(8, 4, {1, 2, 2, 1, 1}, 14);
  b.plan.bootstrapping = {
      .slots_to_coeffs_factors = 1, .coeffs_to_slots_factors = 1, .raised_limbs = 14, .input_peak = 0x1p40};
  const Term same{Term::Kind::convolution, 0, 1, 1, 1, 1, 0, 0, {1}};
  const int x = b.step({same}, {1, 2, 2, 1, 1}, rescale);
  b.plan.steps[0].bias = {-1};
  const int y = b.activate(x, {4, true, {{0.5, 0.5}}}), z = b.bootstrap(y);
  std::map<int, Values> seen;
  b.step({b.full(z, 1)}, {1, 1, 1, 1, 4}, keep);
  circuit::interpret(view(b.plan), counting(4),
                     [&](int t, std::span<const double> v) { seen[t].assign(v.begin(), v.end()); });
  EXPECT_EQ(seen[x], (Values{0, 1, 2, 3}));
  EXPECT_EQ(seen[y], (Values{0, 0.625, 1.5, 2.625}));
  EXPECT_EQ(seen[z], seen[y]);
  std::vector<int> sums, results;
  circuit::Hooks hooks;
  hooks.sum = [&](int s, Values& v) {
    sums.push_back(s);
    if (s == 1) v.assign(4, 4);
  };
  hooks.result = [&](int s, Values& v) {
    results.push_back(s);
    if (s == 1) {
      EXPECT_EQ(v, Values(4, 4)) << "of the changed argument";
    }
  };
  circuit::interpret(view(b.plan), counting(4), hooks);
  EXPECT_EQ(sums, (std::vector<int>{0, 1, 2, 3}));
  EXPECT_EQ(results, sums);
}

TEST(Interpret, ImagesOfAnotherSizeAreADefect) {
  const Plan p = test::small_plan();
  EXPECT_TRUE(test::fails_with([&] { (void)circuit::interpret(view(p), counting(127)); }, ErrorCode::internal));
}

TEST(Describe, OneLinePerStep) {
  const Plan p = test::small_plan();
  const std::string text = describe(p);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2 + static_cast<std::ptrdiff_t>(p.steps.size()));
  for (const char* word : {"test.onnx", "batch 16", "tile 4x4", "5 + 3 primes", "layer1", "2x8x8", "3x4x4", "22.00"})
    EXPECT_NE(text.find(word), std::string::npos) << word << " in:\n" << text;
}

}  // namespace
}  // namespace sotto::plan
