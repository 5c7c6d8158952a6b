// Encrypted layers with several channels per ciphertext against the float64 interpretation of the same plan: every
// pixel of every image at every place that holds its channel, and zeros at the places that hold none.
#include <gtest/gtest.h>
#include <tbb/global_control.h>

#include "plan/describe.h"
#include "support/encrypted_error.h"
#include "support/plan_builder.h"

namespace sotto::runtime {
namespace {

using namespace test::kinds;
using plan::Plan;
using test::PlanBuilder;
using test::worst_error;

// Noise of encryption and divisions at rank 2^13; a weight that is lost or counted twice makes errors of 0.1 and more.
constexpr double kTolerance = 1e-2;

// Five channels in two blocks, fewer channels than places, three classes.
Plan three_layers(int log_n, int baby, int early = 0, int late = 2) {
  PlanBuilder b(log_n, 8, {3, 8, 8, 1, 1, 4}, 4 * (early + late), late);
  b.baby = baby;
  b.early = early;
  if (late == 0) b.log_scale = 54;
  const int x = b.step({b.convolution(0, 5, 3, 1, 1)}, {5, 8, 8, 1, 1}, square, true);
  const int y = b.step({b.convolution(x, 2, 3, 1, 1)}, {2, 8, 8, 1, 1}, square);
  b.step({b.full(y, 3)}, {3, 1, 1, 1, 8}, keep);
  return b.build();
}

TEST(Grouped, OneImage) {
  for (int baby : {1, 2, 4}) {
    const Plan p = three_layers(8, baby);
    ASSERT_EQ(p.batch, 1);
    EXPECT_LT(worst_error(p), kTolerance) << "baby " << baby;
  }
}

TEST(Grouped, SeveralImages) {
  for (int baby : {1, 2, 4}) {
    const Plan p = three_layers(10, baby);
    ASSERT_EQ(p.batch, 4);
    EXPECT_LT(worst_error(p), kTolerance) << "baby " << baby;
  }
}

TEST(Grouped, OnePrimeAfterSquares) {
  // Weights have 13 bits here, and every coefficient of a plaintext rounds: an error of 2^-10 for each of 45 products.
  EXPECT_LT(worst_error(three_layers(8, 2, 0, 1)), 0.1);
  EXPECT_LT(worst_error(three_layers(10, 1, 0, 1)), 0.1);
}

TEST(Grouped, OnePrimeBeforeSquares) {
  // Weights of 21 bits at the same number of primes.
  EXPECT_LT(worst_error(three_layers(8, 2, 1, 0)), 2e-3);
  EXPECT_LT(worst_error(three_layers(10, 1, 1, 0)), 2e-3);
}

TEST(Grouped, PrimesBeforeAndAfterSquares) { EXPECT_LT(worst_error(three_layers(8, 2, 1, 1)), kTolerance); }

TEST(Grouped, LayersWithoutSquares) {
  // The sum has the scale of the result times the step's primes, 2^118 here: its bias has more bits than a word.
  PlanBuilder b(8, 8, {2, 8, 8, 1, 1, 4}, 4, 2);
  const int x = b.step({b.convolution(0, 3, 3, 1, 1)}, {3, 8, 8, 1, 1}, rescale, true);
  for (double& w : b.plan.steps[0].terms[0].weights) w *= 20;
  b.step({b.full(x, 2)}, {2, 1, 1, 1, 8}, keep);
  EXPECT_LT(worst_error(b.build()), kTolerance);
}

TEST(Grouped, ShortcutsAcrossPhasesAndBlocks) { EXPECT_LT(worst_error(test::small_grouped_plan()), kTolerance); }

TEST(Grouped, StridesLeaveGaps) {
  for (int log_n : {8, 9}) {
    PlanBuilder b(log_n, 8, {2, 7, 5, 1, 1, 4}, 8, 2);
    b.baby = 2;
    const int x = b.step({b.convolution(0, 3, 3, 2, 1)}, {3, 4, 3, 1, 2}, square, true);
    const int y = b.step({b.convolution(x, 6, 3, 1, 1)}, {6, 4, 3, 1, 2}, rescale);
    b.step({b.full(y, 5)}, {5, 1, 1, 1, 8}, keep);
    EXPECT_LT(worst_error(b.build()), kTolerance) << log_n;
  }
}

TEST(Grouped, FullConnectionsInARow) {
  // After a sum over the tile only one position of a place holds its channel.
  for (int log_n : {7, 9}) {
    PlanBuilder b(log_n, 4, {1, 8, 8, 2, 1, 8}, 8, 2);
    b.baby = 4;
    const int x = b.step({b.full(0, 11)}, {11, 1, 1, 1, 4}, square);
    const int y = b.step({b.convolution(x, 3, 1, 1, 0)}, {3, 1, 1, 1, 4}, square);
    const int z = b.step({b.full(y, 6)}, {6, 1, 1, 1, 4}, rescale);
    b.step({b.convolution(z, 10, 1, 1, 0)}, {10, 1, 1, 1, 4}, keep);
    EXPECT_LT(worst_error(b.build()), kTolerance) << log_n;
  }
}

TEST(Grouped, MoreProductsThanTheKernelTakesAtOnce) {
  PlanBuilder b(8, 4, {17, 4, 4, 1, 1, 2}, 4, 2);
  const int x = b.step({b.convolution(0, 3, 3, 1, 1)}, {3, 4, 4, 1, 1}, square);
  b.step({b.full(x, 2)}, {2, 1, 1, 1, 4}, keep);
  EXPECT_LT(worst_error(b.build()), kTolerance);
}

TEST(Grouped, PolynomialsLongerThanAPiece) {
  // Products are made for 4096 words at a time. Weights repeat 32 times, or not at all.
  const Plan many = three_layers(13, 1);
  EXPECT_EQ(many.batch, 32);
  EXPECT_LT(worst_error(many), kTolerance);
  PlanBuilder b(13, 16, {32, 16, 16, 1, 1, 32}, 2, 2);
  b.baby = 8;
  b.step({b.full(0, 2)}, {2, 1, 1, 1, 16}, keep);
  const Plan one = b.build();
  EXPECT_EQ(one.batch, 1);
  EXPECT_LT(worst_error(one), kTolerance);
}

TEST(Grouped, OutputsThatNoInputReaches) {
  // The second block of outputs is a bias; so is all of the layer after it.
  for (int log_n : {8, 9}) {
    PlanBuilder b(log_n, 8, {4, 8, 8, 1, 1, 4}, 6, 2);
    plan::Term some = b.convolution(0, 6, 3, 1, 1);
    std::fill(some.weights.begin() + 4 * 4 * 9, some.weights.end(), 0.0);
    const int x = b.step({some}, {6, 8, 8, 1, 1}, square, true);
    plan::Term none = b.convolution(x, 3, 1, 1, 0);
    std::fill(none.weights.begin(), none.weights.end(), 0.0);
    const int y = b.step({none}, {3, 8, 8, 1, 1}, square, true);
    b.step({b.full(y, 2)}, {2, 1, 1, 1, 8}, keep);
    EXPECT_LT(worst_error(b.build()), kTolerance) << log_n;
  }
}

TEST(Grouped, RotatedCopiesForLaterLayersOfHigherLevels) {
  PlanBuilder b(8, 8, {1, 8, 8, 1, 1, 4}, 10, 2);
  const int x = b.step({b.convolution(0, 2, 1, 1, 0)}, {2, 8, 8, 1, 1}, square);
  const int y = b.step({b.convolution(x, 2, 1, 1, 0)}, {2, 8, 8, 1, 1}, square);
  const int z = b.step({b.convolution(y, 2, 1, 1, 0), b.convolution(x, 2, 3, 1, 1)}, {2, 8, 8, 1, 1}, square);
  const int w = b.step({b.convolution(x, 2, 3, 1, 1)}, {2, 8, 8, 1, 1}, square);
  b.step({b.full(z, 2), b.full(w, 2)}, {2, 1, 1, 1, 8}, keep);
  EXPECT_LT(worst_error(b.build()), kTolerance);
}

TEST(Grouped, RandomPlans) {
  for (unsigned seed = 1; seed <= 24; ++seed) {
    std::mt19937_64 rng(seed);
    const auto pick = [&](std::initializer_list<int> from) { return from.begin()[rng() % from.size()]; };
    const int group = pick({2, 4, 8, 16}), images = pick({1, 2, 4}), phases = pick({1, 2});
    const int log_n = static_cast<int>(std::bit_width(static_cast<unsigned>(group * images * 16))) - 1;
    const auto channels = [&] { return 1 + static_cast<int>(rng() % static_cast<unsigned>(2 * group)); };
    const int side = 4 * phases, c = channels(), d = channels(), e = channels();
    PlanBuilder b(std::max(log_n, 6), 4, {c, side, side, phases, 1, group}, 6, 2);
    b.baby = std::min(group, pick({1, 2, 4, 8}));
    const int x = b.step({b.convolution(0, d, 3, 1, 1)}, {d, side, side, phases, 1}, pick({0, 1}) ? square : rescale);
    plan::Term direct = b.convolution(0, e, 1, 1, 0);
    if (c == e) direct = test::diagonal(direct, e);
    b.baby = std::min(group, pick({1, 2, 4, 8}));
    const int y = b.step({b.convolution(x, e, 3, 1, 1), direct}, {e, side, side, phases, 1}, square, true);
    const int scores = channels();
    b.step({b.full(y, scores)}, {scores, 1, 1, 1, 4}, keep);
    const Plan p = b.build();
    EXPECT_LT(worst_error(p), kTolerance)
        << "seed " << seed << ", " << c << " " << d << " " << e << " " << scores << "\n"
        << plan::describe(p);
  }
}

TEST(Grouped, TheNumberOfThreadsDoesNotMatter) {
  const Plan p = test::small_grouped_plan();
  test::ToyClient client(p);
  const Model model(p, client.parameters, client.ring);
  const auto input = client.encrypt(test::random_images(p, p.batch));
  const auto scores = [&](std::size_t threads) {
    const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, threads);
    std::vector<ckks::PackedCiphertext> copy;
    for (const auto& c : input) copy.push_back(ckks::pack(*client.ring, ckks::unpack(*client.ring, c, c.level())));
    std::vector<std::vector<std::uint64_t>> words;
    for (const auto& c : BatchRun(model, client.keys).execute(std::move(copy)))
      for (const ring::RnsPoly* poly : {&c.c0, &c.c1})
        for (const ring::Limb& limb : *poly) words.emplace_back(limb.data(), limb.data() + client.ring->n());
    return words;
  };
  const auto alone = scores(1);
  EXPECT_EQ(alone.size(), 3u * 2u * 4u) << "blocks, polynomials, limbs";
  EXPECT_EQ(scores(2), alone);
  EXPECT_EQ(scores(5), alone);
}

}  // namespace
}  // namespace sotto::runtime
