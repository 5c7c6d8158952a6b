// Encrypted layers with channels in the gaps behind strides against the float64 interpretation of the same plan: every
// pixel of every image, and zeros where a block has fewer channels than places.
#include <gtest/gtest.h>
#include <tbb/global_control.h>

#include <random>

#include "plan/describe.h"
#include "plan/products.h"
#include "support/encrypted_error.h"
#include "support/plan_builder.h"

namespace sotto::runtime {
namespace {

using namespace test::kinds;
using plan::Axes;
using plan::Plan;
using test::PlanBuilder;
using test::worst_error;

// Noise of encryption and divisions on toy rings; a weight that is lost or counted twice makes errors of 0.1 and more.
constexpr double kTolerance = 2e-2;

TEST(Gaps, ShortcutsProjectionsAndScores) { EXPECT_LT(worst_error(test::small_gaps_plan()), kTolerance); }

// 2 x 1 phases in front of the stride, which leaves a gap between columns only, then in both directions.
TEST(Gaps, TilesThatAreNotSquare) {
  PlanBuilder b(10, {4, 8}, {3, 8, 8, {2, 1}, 1}, 5);
  const int x = b.step({b.convolution(0, 5, 3, 2, 1)}, {5, 4, 4, 1, {1, 2}, 1, {1, 2}}, square, true);
  const int y =
      b.step({b.convolution(x, 7, 3, 2, 1), b.convolution(x, 7, 1, 2, 0)}, {7, 2, 2, 1, {2, 4}, 1, {2, 4}}, square);
  b.step({b.full(y, 3)}, {3, 1, 1, 1, 1}, keep);
  EXPECT_LT(worst_error(b.build()), kTolerance);
}

// A stride of three leaves room for two channels; what lies beyond the last pixel must fit the tile.
TEST(Gaps, WiderThanTheirChannels) {
  PlanBuilder b(10, 8, {1, 7, 8, 1, 1}, 4);
  const int x = b.step({b.convolution(0, 4, 3, 3, 1)}, {4, 3, 3, 1, 3, 1, 2}, square, true);
  b.step({b.full(x, 2)}, {2, 1, 1, 1, 1}, keep);
  EXPECT_LT(worst_error(b.build()), kTolerance);
}

// From a map with gaps to one that the same step leaves without, and back.
TEST(Gaps, OfOneSideOnly) {
  PlanBuilder b(10, 8, {2, 8, 8, 1, 1}, 6);
  const int x = b.step({b.convolution(0, 6, 3, 2, 1)}, {6, 4, 4, 1, 2, 1, 2}, square);
  const int y = b.step({b.convolution(x, 3, 3, 1, 1)}, {3, 4, 4, 1, 2, 1, 1}, square);
  const int z = b.step({b.convolution(y, 6, 3, 1, 1)}, {6, 4, 4, 1, 2, 1, {2, 1}}, square, true);
  const int w = b.step({b.convolution(z, 4, 3, 1, 1)}, {4, 4, 4, 1, 2, 1, {1, 2}}, square);
  b.step({b.full(w, 2)}, {2, 1, 1, 1, 1}, keep);
  EXPECT_LT(worst_error(b.build()), kTolerance);
}

// Each channel by itself, then each pixel: rows that read few sources, and giant steps without pixels.
TEST(Gaps, DepthwiseAndPointwise) {
  PlanBuilder b(10, 8, {3, 8, 8, 1, 1}, 5);
  const int x = b.step({b.convolution(0, 10, 3, 2, 1)}, {10, 4, 4, 1, 2, 1, 2}, rescale);
  plan::Term depthwise = b.convolution(x, 10, 3, 1, 1);
  for (int c = 0; c < 10; ++c) depthwise.blocks.push_back({c, 1, c, 1});
  depthwise.weights.resize(90);
  const int y = b.step({depthwise}, {10, 4, 4, 1, 2, 1, 2}, square, true);
  const int z = b.step({b.convolution(y, 11, 1, 1, 0)}, {11, 4, 4, 1, 2, 1, 2}, square);
  b.step({b.full(z, 3)}, {3, 1, 1, 1, 1}, keep);
  const Plan p = b.build();
  EXPECT_LT(worst_error(p), kTolerance);
  const plan::Schedule schedule = plan::make_schedule(p);
  EXPECT_EQ(schedule.tasks[1].turned_sums, 0u) << "channels that stay apart need no rotations";
  EXPECT_EQ(schedule.tasks[2].turned_sums, 8u + 8 + 7) << "the last block has no fourth channel";
  const auto rows = plan::giant_rows(p, schedule.tasks[1]);
  EXPECT_EQ(plan::products_in_gaps(p, schedule.tasks[1], rows).size(), 3u) << "one for each block";
}

// The second block of outputs is a bias; so is all of the layer behind it.
TEST(Gaps, OutputsThatNoInputReaches) {
  PlanBuilder b(10, 8, {2, 8, 8, 1, 1}, 5);
  plan::Term some = b.convolution(0, 6, 3, 2, 1);
  std::fill(some.weights.begin() + 4 * 2 * 9, some.weights.end(), 0.0);
  const int x = b.step({some}, {6, 4, 4, 1, 2, 1, 2}, square, true);
  plan::Term none = b.convolution(x, 3, 1, 1, 0);
  std::fill(none.weights.begin(), none.weights.end(), 0.0);
  const int y = b.step({none}, {3, 4, 4, 1, 2, 1, 2}, square, true);
  b.step({b.full(y, 2)}, {2, 1, 1, 1, 1}, keep);
  EXPECT_LT(worst_error(b.build()), kTolerance);
}

TEST(Gaps, MoreRowsThanAreMadeAtOnce) {
  PlanBuilder b(10, 8, {1, 8, 8, 1, 1}, 4);
  const int x = b.step({b.convolution(0, 40, 1, 4, 0)}, {40, 2, 2, 1, 4, 1, 4}, rescale);
  const int y = b.step({b.convolution(x, 40, 1, 1, 0)}, {40, 2, 2, 1, 4, 1, {1, 4}}, square);
  b.step({b.full(y, 2)}, {2, 1, 1, 1, 1}, keep);
  const Plan p = b.build();
  const plan::Task task = plan::make_schedule(p).tasks[1];
  EXPECT_GT(plan::giant_rows(p, task).size(), plan::kGiantRowsAtOnce);
  EXPECT_LT(worst_error(p), kTolerance);
}

TEST(Gaps, RandomPlans) {
  for (unsigned seed = 1; seed <= 24; ++seed) {
    std::mt19937_64 rng(seed);
    const auto pick = [&](std::initializer_list<int> from) { return from.begin()[rng() % from.size()]; };
    const auto channels = [&] { return 1 + static_cast<int>(rng() % 11); };
    const Axes fill{pick({1, 2}), pick({1, 2})}, more{pick({1, 2, 4}), pick({1, 2, 4})}, again{pick({1, 2}), 2};
    const int c = channels(), d = channels(), e = channels(), f = channels();
    PlanBuilder b(10, 8, {c, 8, 8, 1, 1}, 6);
    const int x = b.step({b.convolution(0, d, 3, 2, 1)}, {d, 4, 4, 1, 2, 1, fill}, pick({0, 1}) ? square : rescale);
    plan::Term direct = b.convolution(x, e, 1, 1, 0);
    if (d == e) direct = test::diagonal(direct, e);
    const int y = b.step({b.convolution(x, e, 3, 1, 1), direct}, {e, 4, 4, 1, 2, 1, again}, square, true);
    const int kernel = pick({1, 3});
    const int z = b.step({b.convolution(y, f, kernel, 2, kernel / 2), b.convolution(0, f, 1, 4, 0)},
                         {f, 2, 2, 1, 4, 1, more}, square);
    b.step({b.full(z, 3)}, {3, 1, 1, 1, 1}, keep);
    const Plan p = b.build();
    EXPECT_LT(worst_error(p), kTolerance) << "seed " << seed << ", " << c << " " << d << " " << e << " " << f << "\n"
                                          << plan::describe(p);
  }
}

TEST(Gaps, TheNumberOfThreadsDoesNotMatter) {
  const Plan p = test::small_gaps_plan();
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
  EXPECT_EQ(scores(2), alone);
  EXPECT_EQ(scores(5), alone);
}

}  // namespace
}  // namespace sotto::runtime
