// Which tensors are watched, and the bounds that images set.
#include "compiler/probes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "circuit/interpret.h"
#include "compiler/compile.h"
#include "plan/identity.h"
#include "plan/probe.h"
#include "plan/verify.h"
#include "support/expect_error.h"
#include "support/network_builder.h"
#include "support/values.h"

namespace sotto::compiler {
namespace {

using plan::Kind;
using test::NetworkBuilder;
using Images = std::vector<std::vector<double>>;

Images images(const plan::Plan& p, int count, double size = 1) {
  Images out;
  for (int k = 0; k < count; ++k)
    out.push_back(test::random_values(static_cast<std::size_t>(p.io.channels * p.io.height * p.io.width),
                                      10 + static_cast<unsigned>(k), size));
  return out;
}

// Deeper than the modulus.
plan::Plan deep_squares() {
  NetworkBuilder b({2, 8, 8}, 3);
  int x = 0;
  for (int k = 0; k < 40; ++k) x = b.affine(b.square(b.conv(x, 2, 1, 1, 0)));
  b.dense(b.mean(x), 3);
  for (graph::Node& n : b.network.nodes)  // squares of small numbers vanish, of large ones explode
    if (auto* conv = std::get_if<graph::Conv2d>(&n.op)) {
      for (double& w : conv->weights) w *= 0.3;
      for (double& v : conv->bias) v = 0.8;
    }
  return compile(b.network, {.batch = 1}).plan;
}

plan::Plan relus() {
  NetworkBuilder b({2, 8, 8}, 3);
  int x = 0;
  for (int k = 0; k < 3; ++k) x = b.relu(b.conv(x, 4, 3, 1, 1), 6);
  b.dense(b.mean(x), 3);
  return compile(b.network, {.batch = 1}).plan;
}

TEST(PlaceProbes, OfANetworkThatFitsTheModulusIsTheInput) {
  NetworkBuilder b({2, 8, 8}, 3);
  b.dense(b.mean(b.square(b.conv(0, 3, 3, 1, 1))), 3);
  const plan::Plan p = compile(b.network, {.batch = 1}).plan;
  ASSERT_EQ(p.probes.size(), 1u);
  EXPECT_EQ(p.probes[0].tensor, 0);
  EXPECT_EQ(p.score_bound, 0);
  EXPECT_GT(p.probes[0].bound, 1.01 * plan::probe_value(p, p.probes[0], std::vector<double>(128, 1)))
      << "white and noise";
}

TEST(PlaceProbes, OfBootstrappedSquares) {
  const plan::Plan p = deep_squares();
  int bootstraps = 0;
  for (const plan::Step& s : p.steps) {
    if (s.kind != Kind::bootstrap) continue;
    ++bootstraps;
    const int source = s.terms.front().source;
    const auto probe =
        std::find_if(p.probes.begin(), p.probes.end(), [&](const plan::Probe& q) { return q.tensor == source; });
    ASSERT_NE(probe, p.probes.end());
    EXPECT_FALSE(probe->alternating) << "squares are not negative";
    EXPECT_DOUBLE_EQ(probe->bound, p.bootstrapping->input_peak / s.scale *
                                       p.tensors[static_cast<std::size_t>(source)].layout.ciphertexts());
  }
  ASSERT_GT(bootstraps, 0);
  EXPECT_EQ(p.probes.size(), static_cast<std::size_t>(bootstraps) + 1);
}

TEST(PlaceProbes, OfPolynomials) {
  const plan::Plan p = relus();
  std::vector<int> expected = {0}, found;
  for (const plan::Step& s : p.steps)
    if (s.kind == Kind::activate) expected.push_back(s.output);
  for (const plan::Probe& q : p.probes) found.push_back(q.tensor);
  ASSERT_EQ(expected.size(), 4u);
  EXPECT_EQ(found, expected) << "what is bootstrapped for a polynomial needs none";
  for (const plan::Probe& q : p.probes) EXPECT_EQ(q.alternating, false);
}

// Every result may be the largest that there is, with noise on top.
TEST(PlaceProbes, FunctionsThatSaturateHaveRoom) {
  plan::Plan p = relus();
  for (plan::Step& s : p.steps)
    if (s.kind == Kind::activate) s.activation = {s.activation.range, false, {{0.5, 0.5}}};  // 0 .. 1
  place_probes(p);
  for (std::size_t k = 1; k < p.probes.size(); ++k)
    EXPECT_GT(p.probes[k].bound, 1.01 * p.tensors[static_cast<std::size_t>(p.probes[k].tensor)].layout.ciphertexts())
        << k;
}

TEST(PlaceProbes, ResultsOfBothSignsAlternate) {
  plan::Plan p = relus();
  for (plan::Step& s : p.steps)
    if (s.kind == Kind::activate) s.activation = {s.activation.range, false, {{0, 1}}};
  place_probes(p);
  EXPECT_FALSE(p.probes[0].alternating);
  EXPECT_TRUE(p.probes[1].alternating);
}

TEST(MeasureProbes, BoundsAreThoseOfTheImages) {
  for (const plan::Plan& before : {relus(), deep_squares()}) {
    plan::Plan p = before;
    const Images list = images(p, 4);
    measure_probes(p, calibration_from(list));
    EXPECT_NO_THROW(plan::verify(p));
    EXPECT_EQ(p.id, plan::plan_id(p));
    EXPECT_NE(p.id, before.id);
    double input = 0;
    for (const auto& image : list)
      for (double v : image) input = std::max(input, std::abs(v));
    EXPECT_DOUBLE_EQ(p.probes[0].bound, std::max(before.probes[0].bound, 1.5 * input * p.input().layout.ciphertexts()))
        << "what pixels allow, or what the images show";
    double score = 0;
    std::vector<double> sums(p.probes.size());
    for (const auto& image : list) {
      const auto scores = circuit::interpret(plan::view(p), image, [&](int t, std::span<const double> v) {
        for (std::size_t k = 1; k < sums.size(); ++k)
          if (p.probes[k].tensor == t) sums[k] = std::max(sums[k], plan::probe_value(p, p.probes[k], v));
      });
      for (double s : scores) score = std::max(score, std::abs(s));
    }
    EXPECT_DOUBLE_EQ(p.score_bound, kRealMargins.scores * score);
    for (std::size_t k = 1; k < sums.size(); ++k)
      EXPECT_DOUBLE_EQ(p.probes[k].bound, std::min(kRealMargins.probes * sums[k], before.probes[k].bound)) << k;
  }
}

TEST(MeasureProbes, ImagesBeyondARangeDoNotWidenBounds) {
  plan::Plan p = relus();
  const plan::Plan before = p;
  measure_probes(p, calibration_from(images(p, 4, 100)));
  for (std::size_t k = 1; k < p.probes.size(); ++k) EXPECT_LE(p.probes[k].bound, before.probes[k].bound) << k;
}

TEST(MeasureProbes, ProgressMayEndIt) {
  plan::Plan p = relus();
  EXPECT_TRUE(test::fails_with(
      [&] {
        measure_probes(p, calibration_from(images(p, 4)),
                       [](std::size_t) { throw Error(ErrorCode::interrupted, "stop"); });
      },
      ErrorCode::interrupted));
}

}  // namespace
}  // namespace sotto::compiler
