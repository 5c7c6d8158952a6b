// Networks that need bootstrapping or polynomials compile to valid plans that mean the same.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "circuit/interpret.h"
#include "ckks/security.h"
#include "compiler/compile.h"
#include "compiler/relu_approximation.h"
#include "graph/calibrate.h"
#include "graph/interpreter.h"
#include "plan/client_spec.h"
#include "plan/cost.h"
#include "plan/verify.h"
#include "support/expect_error.h"
#include "support/network_builder.h"
#include "support/values.h"

namespace sotto::compiler {
namespace {

using graph::Network;
using plan::Kind;
using plan::Plan;
using plan::Step;
using test::NetworkBuilder;

int count(const Plan& p, Kind kind) {
  return static_cast<int>(std::count_if(p.steps.begin(), p.steps.end(), [&](const Step& s) { return s.kind == kind; }));
}

// Residual blocks of squares whose values stay in [-1, 1] or so.
Network squares(int blocks) {
  NetworkBuilder b({2, 8, 8}, 1);
  int x = b.square(b.conv(0, 3, 3, 1, 1));
  for (int k = 0; k < blocks; ++k) x = b.square(b.sum(b.conv(b.square(b.conv(x, 3, 3, 1, 1)), 3, 1, 1, 0), x));
  b.dense(b.mean(x), 3);
  for (graph::Node& n : b.network.nodes)
    if (auto* conv = std::get_if<graph::Conv2d>(&n.op))
      for (double& w : conv->weights) w *= 0.2;
  return b.network;
}

// Ranges are set from images, as with --calibrate.
void calibrate(Network& network) {
  std::vector<std::vector<double>> images;
  for (unsigned seed = 0; seed < 20; ++seed)
    images.push_back(test::random_values(network.input_shape().size(), 100 + seed, 1));
  graph::set_ranges(network, graph::magnitudes(network, images));
}

Network relus(int blocks) {
  NetworkBuilder b({2, 8, 8}, 2);
  int x = b.relu(b.conv(0, 4, 3, 1, 1));
  for (int k = 0; k < blocks; ++k) x = b.relu(b.sum(b.conv(b.relu(b.conv(x, 4, 3, 1, 1)), 4, 1, 1, 0), x));
  b.dense(b.mean(b.relu(b.conv(x, 4, 3, 2, 1))), 3);
  calibrate(b.network);
  return b.network;
}

// The most that errors of `error` times the range of every Relu can do to a score: |p(x + d) - relu(x)| is at most the
// error of p and |d|, and layers pass errors on by the sum of their weights' magnitudes.
double error_budget(const Network& network, double error) {
  std::vector<double> budget(network.nodes.size());
  const auto widest_row = [](const std::vector<double>& weights, int rows) {
    const std::size_t row = weights.size() / static_cast<std::size_t>(rows);
    double widest = 0;
    for (std::size_t r = 0; r < static_cast<std::size_t>(rows); ++r) {
      double sum = 0;
      for (std::size_t k = 0; k < row; ++k) sum += std::abs(weights[r * row + k]);
      widest = std::max(widest, sum);
    }
    return widest;
  };
  for (std::size_t i = 1; i < network.nodes.size(); ++i) {
    const graph::Node& n = network.nodes[i];
    for (int input : n.inputs) budget[i] += budget[static_cast<std::size_t>(input)];
    if (const auto* relu = std::get_if<graph::Function>(&n.op)) budget[i] += error * relu->range;
    if (const auto* conv = std::get_if<graph::Conv2d>(&n.op)) budget[i] *= widest_row(conv->weights, conv->out_c);
    if (const auto* dense = std::get_if<graph::Dense>(&n.op)) budget[i] *= widest_row(dense->weights, dense->out);
  }
  return budget.back();
}

// Compiles and checks what holds for every plan with slotwise steps.
Plan expect_valid(const Network& network, const Options& options = {}, double relu_error = kReluError) {
  Plan p = compile(network, options, relu_error).plan;
  EXPECT_NO_THROW(plan::verify(p));
  EXPECT_NO_THROW(verify(plan::client_part(p)));
  EXPECT_GE(p.batch, options.batch);
  EXPECT_EQ(p.parameters.log_n, 16);
  EXPECT_EQ(ckks::Parameters::create(p.parameters).security_bits(), 128);
  EXPECT_NO_THROW(ckks::require_secure(p.parameters, p.keys));
  EXPECT_EQ(p.keys.tiers.back().ephemeral, p.bootstrapping.has_value());
  EXPECT_GT(plan::estimate(p, 2).seconds(plan::kTypicalSpeed), 0);
  return p;
}

double largest_error(const Plan& p, const Network& network) {
  double error = 0;
  for (unsigned seed = 100; seed < 110; ++seed) {
    const auto image = test::random_values(network.input_shape().size(), seed, 1);
    const auto actual = circuit::interpret(plan::view(p), image), expected = graph::evaluate(network, image);
    for (std::size_t k = 0; k < expected.size(); ++k) error = std::max(error, std::abs(actual[k] - expected[k]));
  }
  return error;
}

TEST(DeepSquares, MeanTheSame) {
  for (const Options& options : {Options{}, Options{.batch = 4096}, Options{.precise = true}}) {
    const Network network = squares(17);
    const Plan p = expect_valid(network, options);
    EXPECT_GT(count(p, Kind::bootstrap), 0);
    const auto image = test::random_values(128, 7, 1);
    EXPECT_LT(test::relative_error(circuit::interpret(plan::view(p), image), graph::evaluate(network, image)), 1e-9);
    if (!options.precise) continue;
    for (const Step& s : p.steps) EXPECT_EQ(s.kind == Kind::square ? plan::units_taken(s) : 2, 2) << s.name;
  }
}

// What is bootstrapped fills the circuit's range, and nothing goes beyond it.
TEST(DeepSquares, ScalesFollowTheLargestValues) {
  const Network network = squares(17);
  std::vector<std::vector<double>> images;
  for (unsigned seed = 0; seed < 20; ++seed) images.push_back(test::random_values(128, 200 + seed, 1));
  const Plan p = compile(measured_circuit(network, calibration_from(images)), {}).plan;
  std::vector<double> largest(p.tensors.size());
  for (const auto& image : images)
    circuit::interpret(plan::view(p), image, [&](int t, std::span<const double> v) {
      for (double x : v)
        largest[static_cast<std::size_t>(t)] = std::max(largest[static_cast<std::size_t>(t)], std::abs(x));
    });
  for (const Step& s : p.steps)
    if (s.kind == Kind::bootstrap) {
      const double bound = p.bootstrapping->input_peak / s.scale;
      EXPECT_NEAR(bound, 1.5 * largest[static_cast<std::size_t>(s.terms[0].source)], 1e-5 * bound) << s.name;
    }
}

// Sums that wait to be multiplied are not bootstrapped, their products are.
TEST(DeepSquares, WithGates) {
  NetworkBuilder b({2, 8, 8}, 1);
  int x = b.square(b.conv(0, 3, 3, 1, 1));
  for (int k = 0; k < 9; ++k) x = b.sum(b.excite(b.square(b.conv(x, 3, 3, 1, 1)), 2), x);
  b.dense(b.mean(x), 3);
  for (graph::Node& n : b.network.nodes)
    if (auto* conv = std::get_if<graph::Conv2d>(&n.op))
      for (double& w : conv->weights) w *= 0.2;
  const Plan p = expect_valid(b.network);
  EXPECT_GT(count(p, Kind::bootstrap), 0);
  EXPECT_EQ(count(p, Kind::multiply), 9);
  const auto image = test::random_values(128, 8, 1);
  EXPECT_LT(test::relative_error(circuit::interpret(plan::view(p), image), graph::evaluate(b.network, image)), 1e-9);
}

// A gate that is deeper than what a bootstrap leaves is bootstrapped on its way: no factor waits for it.
TEST(DeepRelus, GatesAreBootstrappedInside) {
  NetworkBuilder b({2, 8, 8}, 1);
  const int x = b.relu(b.conv(0, 4, 3, 1, 1), 4);
  int gate = b.mean(x);
  for (int k = 0; k < 3; ++k) gate = b.relu(b.conv(gate, 4, 1, 1, 0), 4);
  gate = b.function(b.conv(gate, 4, 1, 1, 0), graph::Function::of(graph::Function::Kind::sigmoid), 4);
  b.dense(b.mean(b.product(x, gate)), 3);
  const Plan p = expect_valid(b.network);
  EXPECT_EQ(count(p, Kind::multiply), 1);
  int before = 0;
  for (const Step& s : p.steps) {
    if (s.kind == Kind::multiply) break;
    before += s.kind == Kind::bootstrap;
    if (s.keep) {
      EXPECT_GT(before, 0) << "factors come right before their product";
    }
  }
}

// The most levels that fit leave no room for small primes.
TEST(DeepSquares, WhatJustFitsIsNotBootstrapped) {
  const auto chain = [](int depth) {
    NetworkBuilder b({1, 4, 4}, 1);
    int x = 0;
    for (int d = 0; d < depth; ++d) x = b.square(b.conv(x, 1, 1, 1, 0));
    b.dense(b.mean(x), 2);
    for (graph::Node& n : b.network.nodes)
      if (auto* conv = std::get_if<graph::Conv2d>(&n.op))
        for (double& w : conv->weights) w *= 0.2;
    return b.network;
  };
  const auto plan_of = [&](int depth, double error) {
    Options options{.batch = 1};
    options.score_error = error;
    return compile(chain(depth), options).plan;
  };
  int depth = 20;
  while (count(plan_of(depth + 1, HUGE_VAL), Kind::bootstrap) == 0) ++depth;
  const Plan deepest = plan_of(depth, 1e-9);
  EXPECT_EQ(count(deepest, Kind::bootstrap), 0) << depth;
  EXPECT_EQ(deepest.parameters.small_primes, 0);
  EXPECT_GT(plan_of(20, 1e-9).parameters.small_primes, 0);
}

TEST(DeepSquares, SeveralChannelsPerCiphertext) {
  const Network network = squares(17);
  for (int group : {2, 4}) {
    const Plan p = expect_valid(network, {.batch = 1, .group = group});
    EXPECT_EQ(p.group(), group);
    EXPECT_GT(count(p, Kind::bootstrap), 0);
    const auto image = test::random_values(128, 8, 1);
    EXPECT_LT(test::relative_error(circuit::interpret(plan::view(p), image), graph::evaluate(network, image)), 1e-9);
    for (const Step& s : p.steps) EXPECT_EQ(s.early, s.kind == Kind::square ? 1 : 0) << s.name;
  }
}

TEST(DeepRelus, StayWithinTheirErrors) {
  for (double error : {0.0051, 0.021, 0x1p-12}) {
    SCOPED_TRACE(error);
    const Network network = relus(1);
    const Plan p = expect_valid(network, {}, error);
    EXPECT_EQ(count(p, Kind::activate), 4);
    const double budget = error_budget(network, error), actual = largest_error(p, network);
    EXPECT_LE(actual, budget);
    EXPECT_GT(actual, 0) << "polynomials, not the Relus themselves";
  }
}

TEST(DeepRelus, ManyHaveFinerPolynomials) {
  Network network;
  network.nodes.push_back({"input", graph::Input{}, {}, {1, 1, 1}});
  for (int k = 0; k < kFewRelus; ++k)
    network.nodes.push_back({"relu", graph::Function::of(graph::Function::Kind::relu), {k}, {1, 1, 1}});
  EXPECT_EQ(relu_error_for(network), kReluError);
  network.nodes.push_back({"relu", graph::Function::of(graph::Function::Kind::relu), {kFewRelus}, {1, 1, 1}});
  EXPECT_EQ(relu_error_for(network), kReluError / 2);
  EXPECT_EQ(approximate_relu(kReluError).depth, 6);
  EXPECT_EQ(approximate_relu(kReluError / 2).depth, 7) << "the next longer single series";
}

TEST(DeepRelus, ShallowOnesNeedNoBootstrapping) {
  NetworkBuilder b({2, 8, 8}, 5);
  b.dense(b.mean(b.relu(b.conv(0, 3, 3, 1, 1))), 3);
  calibrate(b.network);
  const Plan p = expect_valid(b.network);
  EXPECT_FALSE(p.bootstrapping.has_value());
  EXPECT_EQ(count(p, Kind::bootstrap), 0);
  EXPECT_EQ(p.input().level.limbs, 1 + 6 + 2) << "a layer, a series of degree 62, the last layer and its extra prime";
  EXPECT_LE(largest_error(p, b.network), error_budget(b.network, kReluError));
}

TEST(DeepRelus, SeveralChannelsPerCiphertext) {
  const Network network = relus(2);
  for (int group : {2, 4, 16}) {
    const Plan p = expect_valid(network, {.batch = 1, .group = group});
    EXPECT_EQ(p.group(), group);
    EXPECT_GT(count(p, Kind::bootstrap), 0);
    EXPECT_LE(largest_error(p, network), error_budget(network, kReluError));
  }
}

TEST(DeepRelus, InEveryPlace) {
  // Of the input, after a mean, a flattening, an average, a square and another Relu, as the last layer.
  NetworkBuilder b({2, 8, 8}, 6);
  int x = b.pool(b.relu(b.conv(b.relu(0), 3, 3, 1, 1)), 2, 2, 0);
  x = b.relu(b.relu(b.square(b.conv(x, 3, 1, 1, 0))));
  b.relu(b.dense(b.relu(b.dense(b.flatten(x), 4)), 3));
  calibrate(b.network);
  const Plan p = expect_valid(b.network);
  EXPECT_EQ(count(p, Kind::activate), 6);
  // Squares pass errors on by their argument: here by what 20 images show.
  EXPECT_LT(largest_error(p, b.network), 1);
  NetworkBuilder pooled({2, 8, 8}, 7);
  pooled.dense(pooled.relu(pooled.mean(pooled.affine(pooled.relu(pooled.conv(0, 4, 3, 1, 1))))), 2);
  calibrate(pooled.network);
  EXPECT_EQ(count(expect_valid(pooled.network), Kind::activate), 2);
}

TEST(DeepRelus, ScalesOfPolynomialsAreTheirPrimes) {
  const Plan p = expect_valid(relus(1));
  const auto primes = ckks::Parameters::create(p.parameters).primes();
  for (const Step& s : p.steps)
    if (s.kind == Kind::activate) {
      const auto prime = static_cast<double>(primes[static_cast<std::size_t>(s.level.limbs - 1)]);
      EXPECT_NEAR(s.scale * s.activation.range / prime, 1, 1e-9);
    }
}

TEST(DeepRelus, TooPreciseToBootstrap) {
  EXPECT_TRUE(
      test::fails_with([&] { (void)compile(relus(1), {}, 0x1p-20); }, ErrorCode::no_resources, {"larger error"}));
}

}  // namespace
}  // namespace sotto::compiler
