// Activations and polynomials encrypted, each within the error that its approximation states.
#include <gtest/gtest.h>

#include "compiler/function_approximation.h"
#include "compiler/polynomial.h"
#include "graph/function.h"
#include "support/encrypted_error.h"
#include "support/plan_builder.h"

namespace sotto::runtime {
namespace {

using compiler::FunctionApproximation;
using graph::Function;
using Kind = Function::Kind;
using namespace test::kinds;

constexpr double kError = 0.02;

Function function(Kind kind, double range, double alpha = 0, double beta = 0) {
  Function f = Function::of(kind, alpha, beta);
  f.range = range;
  return f;
}

// A plan whose image, once convolved and shifted, is the argument of every piece, and the results by piece.
struct Pieces {
  plan::Plan plan;
  int argument = 0;
  std::vector<int> results;
};

Pieces pieces(const FunctionApproximation& p, double range) {  // range: of most values
  test::PlanBuilder b(10, 4, {1, 4, 4, 1, 1}, p.depth() + 3);
  b.plan.tensors[0].scale = 0x1p40;
  Pieces out;
  std::vector<plan::Term> sums;
  for (const auto& piece : p.pieces) {
    b.log_scale = 48 - std::log2(piece.activation.range);
    plan::Term taps = b.convolution(0, 2, 3, 1, 1);
    for (double& w : taps.weights) w *= range / 1.4;
    const int x = b.step({std::move(taps)}, {2, 4, 4, 1, 1}, rescale);
    auto& bias = b.plan.steps.back().bias;
    std::fill(bias.begin(), bias.end(), piece.shift);
    out.argument = x;
    b.log_scale = 36;
    out.results.push_back(b.activate(x, piece.activation));
    b.log_scale = 58;
    sums.push_back(b.full(out.results.back(), 2));
    for (double& w : sums.back().weights) w /= range;
  }
  b.step(sums, {2, 1, 1, 1, 4}, keep);
  out.plan = b.build();
  return out;
}

TEST(Functions, EncryptedWithinTheirErrors) {
  const Function list[] = {function(Kind::relu, 4),
                           function(Kind::clip, 8, 0, 6),
                           function(Kind::clip, 2, 0.5, INFINITY),
                           function(Kind::leaky_relu, 4, 0.1),
                           function(Kind::elu, 4, 1),
                           function(Kind::selu, 4, 1.6732632, 1.0507010),
                           function(Kind::celu, 4, 0.5),
                           function(Kind::softplus, 6),
                           function(Kind::softsign, 6),
                           function(Kind::sigmoid, 12),
                           function(Kind::hard_sigmoid, 6, 0.2, 0.5),
                           function(Kind::hard_swish, 6),
                           function(Kind::silu, 8, 1),
                           function(Kind::gelu, 8),
                           function(Kind::gelu_tanh, 8),
                           function(Kind::tanh, 5),
                           function(Kind::mish, 8),
                           function(Kind::erf, 3),
                           function(Kind::abs, 2)};
  for (const Function& f : list) {
    SCOPED_TRACE(f.name());
    const auto approximation = compiler::approximate(f, kError);
    ASSERT_TRUE(approximation && approximation->pieces.size() == 1);
    const auto& piece = approximation->pieces.front();
    const Pieces p = pieces(*approximation, f.range);
    test::ToyClient client(p.plan);
    const Model model(p.plan, client.parameters, client.ring);
    RunOptions options;
    const auto images = test::random_images(p.plan, 1);
    std::map<int, std::vector<double>> truth;
    circuit::interpret(plan::view(p.plan), images[0],
                       [&](int t, std::span<const double> v) { truth[t].assign(v.begin(), v.end()); });
    double encrypted = 0, polynomial = 0, largest = 0;
    options.observe = [&](int t, int, const std::vector<ckks::PackedCiphertext>& blocks) {
      if (t != p.results[0]) return;
      for (std::size_t c = 0; c < 2; ++c) {
        const std::vector<double> slots = client.slots(ckks::unpack(*client.ring, blocks[c], blocks[c].level()));
        for (std::size_t k = 0; k < 16; ++k) {
          const double x = truth[p.argument][16 * c + k] - piece.shift, y = truth[t][16 * c + k];
          largest = std::max(largest, std::abs(x));
          encrypted = std::max(encrypted, piece.gain * std::abs(slots[k] - y));
          polynomial = std::max(polynomial, std::abs(approximation->offset + piece.gain * y - f(x)));
        }
      }
    };
    BatchRun run(model, client.keys, options);
    (void)run.execute(client.encrypt(images));
    EXPECT_LE(largest, f.range);
    EXPECT_GE(largest, f.range / 4) << "or the test shows nothing";
    EXPECT_LE(polynomial, approximation->error * (1 + 1e-9));
    EXPECT_LT(encrypted, 1e-4 * f.range) << "noise";
  }
}

TEST(Functions, TwoBendsByComposites) {
  const auto p = compiler::approximate(function(Kind::clip, 40, 0, 6), 0.0051);
  ASSERT_TRUE(p);
  ASSERT_EQ(p->pieces.size(), 2u);
  EXPECT_LT(test::worst_error(pieces(*p, 15).plan), 5e-3);
}

// x^3 + x / 2 on three channels as the compiler takes it apart: x and x^2, then (x^2 + x)^2 and (x^2 - x)^2.
TEST(Functions, CubesBySquares) {
  compiler::Polynomial cube{0, {{0, 0, 0}, {0.5, 0.5, 0.5}, {0, 0, 0}, {1, 1, 1}}};
  const compiler::Squares s = compiler::complete_squares(cube, 1, false);
  ASSERT_EQ(s.squares.size(), 2u);
  test::PlanBuilder b(10, 4, {1, 4, 4, 1, 1}, 5);
  const plan::Layout map{3, 4, 4, 1, 1};
  const plan::Term taps = b.convolution(0, 3, 3, 1, 1);
  const int line = b.step({taps}, map, rescale), square = b.step({taps}, map, plan::Kind::square);
  b.plan.steps[1].bias = b.plan.steps[0].bias;
  const auto scaled = [&](int source, const std::vector<double>& factors) {
    plan::Term t = b.convolution(source, 3, 1, 1, 0);
    for (std::size_t k = 0; k < 9; ++k) t.weights[k] = k % 4 == 0 ? factors[k / 4] : 0;
    return t;
  };
  std::vector<plan::Term> sum;
  for (const auto& part : s.squares) {
    const int id = b.step({scaled(square, part.base.of(2)), scaled(line, part.base.of(1))}, map, plan::Kind::square);
    b.plan.steps.back().bias = part.base.of(0);
    sum.push_back(scaled(id, part.gain));
  }
  sum.push_back(scaled(line, s.rest.of(1)));
  const int result = b.step(sum, map, rescale);
  b.plan.steps.back().bias = s.rest.of(0);
  b.step({b.full(result, 2)}, {2, 1, 1, 1, 4}, keep);
  const plan::Plan p = b.build();
  const auto image = test::random_images(p, 1).front();
  std::map<int, std::vector<double>> truth;
  circuit::interpret(plan::view(p), image,
                     [&](int t, std::span<const double> v) { truth[t].assign(v.begin(), v.end()); });
  for (std::size_t k = 0; k < truth[line].size(); ++k) {
    const double x = truth[line][k];
    EXPECT_NEAR(truth[result][k], x * x * x + x / 2, 1e-12);
  }
  EXPECT_LT(test::worst_error(p), 5e-3);
}

}  // namespace
}  // namespace sotto::runtime
