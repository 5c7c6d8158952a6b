// Encrypted layers against the float64 interpretation of the same plan, pixel by pixel.
#include "runtime/batch_run.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "plan/verify.h"
#include "support/plan_builder.h"
#include "support/toy_client.h"
#include "support/values.h"

namespace sotto::runtime {
namespace {

using plan::Layout;
using plan::Plan;
using test::PlanBuilder;
using test::random_values;
using namespace test::kinds;

// Runs the plan encrypted on a full and on a partial batch and compares every tensor at every pixel of every image;
// tolerance is relative to the tensor's largest value: weights have 13 bits here, and a masked one an error of 3.3
// units.
void expect_matches_interpreter(const Plan& p, double tolerance) {
  const test::ToyClient client(p);
  const Layout& in = p.input().layout;
  for (int count : {p.batch, 1}) {
    std::vector<std::vector<double>> images, scores;
    std::vector<std::map<int, std::vector<double>>> truth(count);
    for (int b = 0; b < count; ++b) {
      images.push_back(random_values(static_cast<std::size_t>(in.channels) * in.height * in.width, 100 + b, 1.0));
      circuit::interpret(plan::view(p), images.back(),
                         [&](int t, std::span<const double> v) { truth[b][t].assign(v.begin(), v.end()); });
    }
    ckks::KeyMap& keys = const_cast<ckks::KeyMap&>(client.keys);
    const Model model(p, client.parameters, client.ring);
    RunOptions options;
    std::vector<double> largest(p.tensors.size());
    for (const auto& image : truth)
      for (const auto& [t, v] : image)
        for (double x : v) largest[t] = std::max(largest[t], std::abs(x));
    std::size_t compared = 0;
    options.observe = [&](int t, int phase, const std::vector<ckks::PackedCiphertext>& channels) {
      const Layout& l = p.tensors[t].layout;
      ASSERT_EQ(channels.size(), static_cast<std::size_t>(l.channels));
      for (int c = 0; c < l.channels; ++c) {
        EXPECT_EQ(channels[c].level(), p.tensors[t].level);
        EXPECT_NEAR(channels[c].scale / p.tensors[t].scale, 1.0, 1e-4);
        const auto slots = client.slots(ckks::unpack(*client.ring, channels[c], channels[c].level()));
        for (int b = 0; b < count; ++b)
          for (int y = 0; y < l.height; ++y)
            for (int x = 0; x < l.width; ++x) {
              const plan::Place place = plan::place_of(l, p.tile, y, x);
              if (place.phase != phase) continue;
              ASSERT_NEAR(slots[static_cast<std::size_t>(b) * p.tile.area() + place.position],
                          truth[b][t][(static_cast<std::size_t>(c) * l.height + y) * l.width + x],
                          tolerance * largest[t])
                  << "tensor " << t << " channel " << c << " image " << b << " pixel " << y << "," << x;
              ++compared;
            }
      }
    };
    BatchRun run(model, keys, options);
    (void)run.execute(client.encrypt(images));
    EXPECT_GT(compared, 0u);
  }
}

TEST(BatchRun, ConvolutionStride1OnSixteenPhases) {
  PlanBuilder b(10, 8, {2, 32, 32, 4, 1}, 4);
  const int t = b.step({b.convolution(0, 3, 3, 1, 1)}, {3, 32, 32, 4, 1}, square, true);
  b.step({b.full(t, 4)}, {4, 1, 1, 1, 8}, keep);
  expect_matches_interpreter(b.build(), 1e-2);
}

TEST(BatchRun, ResidualBlockWithStride2AndProjection) {
  PlanBuilder b(10, 8, {3, 16, 16, 2, 1}, 6);
  const int x = b.step({b.convolution(0, 4, 3, 1, 1)}, {4, 16, 16, 2, 1}, square);
  const int y = b.step({b.convolution(x, 5, 3, 2, 1)}, {5, 8, 8, 1, 1}, square, true);
  const int z = b.step({b.convolution(y, 5, 3, 1, 1), b.convolution(x, 5, 1, 2, 0)}, {5, 8, 8, 1, 1}, square, true);
  b.step({b.full(z, 10)}, {10, 1, 1, 1, 8}, keep);
  expect_matches_interpreter(b.build(), 3e-2);
}

TEST(BatchRun, PrimesBeforeSquares) {
  for (const auto& [early, late] : {std::pair(1, 0), std::pair(1, 1), std::pair(2, 0)}) {
    PlanBuilder b(10, 8, {3, 16, 16, 2, 1}, 3 * (early + late) + 2);
    b.early = early;
    b.late = late;
    b.log_scale = late == 0 ? 54 : 38;
    const int x = b.step({b.convolution(0, 4, 3, 1, 1)}, {4, 16, 16, 2, 1}, square);
    const int y = b.step({b.convolution(x, 5, 3, 2, 1)}, {5, 8, 8, 1, 1}, square, true);
    const int z = b.step({b.convolution(y, 5, 3, 1, 1), b.convolution(x, 5, 1, 2, 0)}, {5, 8, 8, 1, 1}, square, true);
    b.step({b.full(z, 10)}, {10, 1, 1, 1, 8}, keep);
    expect_matches_interpreter(b.build(), 1e-2);
  }
}

// Levels come in quarters of a prime: a residual block reads its input at two of them, of which neither covers the
// other, and divisions take small primes, whole ones for small ones, or both.
TEST(BatchRun, LevelsOfAnySize) {
  PlanBuilder b(10, 8, {3, 16, 16, 2, 1}, 11, 0, 3);
  b.plan.tensors[0].level = {11, 2};
  b.log_scale = 44;
  b.early = 3;
  const int x = b.step({b.convolution(0, 4, 3, 1, 1)}, {4, 16, 16, 2, 1}, square);
  EXPECT_EQ(b.plan.tensors.back().level, ckks::Level(11, 3));
  const int y = b.step({b.convolution(x, 5, 3, 2, 1)}, {5, 8, 8, 1, 1}, square, true);
  EXPECT_EQ(b.plan.tensors.back().level, ckks::Level(8, 0));
  b.early = 4;
  b.late = 3;
  const int z = b.step({b.convolution(y, 5, 3, 1, 1), b.convolution(x, 5, 1, 2, 0)}, {5, 8, 8, 1, 1}, square, true);
  EXPECT_EQ(b.plan.steps.back().level, ckks::Level(8, 3)) << "all that both have";
  EXPECT_EQ(b.plan.tensors.back().level, ckks::Level(4, 0));
  b.step({b.full(z, 10)}, {10, 1, 1, 1, 8}, keep);
  expect_matches_interpreter(b.build(), 1e-2);
}

TEST(BatchRun, StridesBeyondOnePhaseLeaveGaps) {
  PlanBuilder b(10, 8, {1, 8, 8, 1, 1}, 5);
  const int x = b.step({b.convolution(0, 2, 3, 2, 1)}, {2, 4, 4, 1, 2}, square);
  const int y = b.step({b.convolution(x, 3, 3, 1, 1)}, {3, 4, 4, 1, 2}, square, true);
  const int z = b.step({b.full(y, 6)}, {6, 1, 1, 1, 8}, square);
  b.step({b.convolution(z, 3, 1, 1, 0)}, {3, 1, 1, 1, 8}, keep);
  expect_matches_interpreter(b.build(), 1e-2);
}

TEST(BatchRun, OddSizesAndValidConvolutionsInLargerTiles) {
  PlanBuilder b(12, 16, {1, 28, 28, 2, 1}, 4);
  const int x = b.step({b.convolution(0, 2, 5, 1, 0)}, {2, 24, 24, 2, 1}, square);
  const int y = b.step({b.convolution(x, 2, 2, 2, 0)}, {2, 12, 12, 1, 1}, rescale);
  b.step({b.full(y, 3)}, {3, 1, 1, 1, 16}, keep);
  expect_matches_interpreter(b.build(), 3e-2);
}

TEST(BatchRun, RotatedCopiesForLaterLayersOfHigherLevels) {
  // Layer w reads the same rotations of x as layer z before it, with more limbs.
  PlanBuilder b(10, 8, {1, 8, 8, 1, 1}, 5);
  const int x = b.step({b.convolution(0, 2, 1, 1, 0)}, {2, 8, 8, 1, 1}, square);
  const int y = b.step({b.convolution(x, 2, 1, 1, 0)}, {2, 8, 8, 1, 1}, square);
  const int z = b.step({b.convolution(y, 2, 1, 1, 0), b.convolution(x, 2, 3, 1, 1)}, {2, 8, 8, 1, 1}, square);
  const int w = b.step({b.convolution(x, 2, 3, 1, 1)}, {2, 8, 8, 1, 1}, square);
  b.step({b.full(z, 2), b.full(w, 2)}, {2, 1, 1, 1, 8}, keep);
  expect_matches_interpreter(b.build(), 3e-2);
}

TEST(BatchRun, StopsWhenAsked) {
  PlanBuilder b(10, 8, {1, 8, 8, 1, 1}, 3);
  const int x = b.step({b.convolution(0, 2, 3, 1, 1)}, {2, 8, 8, 1, 1}, square);
  b.step({b.full(x, 2)}, {2, 1, 1, 1, 8}, keep);
  const Plan p = b.build();
  test::ToyClient client(p);
  std::atomic<bool> stop{true};
  const Model model(p, client.parameters, client.ring);
  RunOptions options;
  options.stop = &stop;
  BatchRun run(model, client.keys, options);
  try {
    (void)run.execute(client.encrypt({std::vector<double>(64, 0.0)}));
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::interrupted);
  }
}

TEST(BatchRun, MissingKeysAreSaidSo) {
  PlanBuilder b(10, 8, {1, 8, 8, 1, 1}, 3);
  const int x = b.step({b.convolution(0, 2, 3, 1, 1)}, {2, 8, 8, 1, 1}, square);
  b.step({b.full(x, 2)}, {2, 1, 1, 1, 8}, keep);
  const Plan p = b.build();
  test::ToyClient client(p);
  client.keys.keys.erase(client.keys.keys.begin());
  const Model model(p, client.parameters, client.ring);
  BatchRun run(model, client.keys);
  EXPECT_THROW((void)run.execute(client.encrypt({std::vector<double>(64, 0.0)})), Error);
}

}  // namespace
}  // namespace sotto::runtime
