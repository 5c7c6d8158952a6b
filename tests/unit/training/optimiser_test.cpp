#include "training/optimiser.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "support/expect_error.h"

namespace sotto::training {
namespace {

Spec small_spec() {
  Spec s;
  s.rate = 0.2;
  s.momentum = 0.9;
  s.batch = 4;
  s.steps = 5;
  s.schedule = {{2, 0.5}, {4, 0.25}};
  return s;
}

struct Weights {
  std::vector<double> w{0.5, -1.0}, u{0, 0};
};

// Five steps with mean gradients that are given; update_of wants them summed over the batch.
Weights five_steps(const Spec& spec) {
  const double gradients[5][2] = {{0.3, -0.1}, {-0.2, 0.4}, {0.05, 0.6}, {0.7, -0.5}, {-0.4, 0.2}};
  Weights x;
  for (int t = 0; t < 5; ++t)
    for (std::size_t i = 0; i < 2; ++i) {
      const Update a = update_of(spec, t);
      const double w = x.w[i], u = x.u[i], g = gradients[t][i] * spec.batch;
      x.w[i] = a.ww * w + a.wu * u + a.wg * g;
      x.u[i] = a.uw * w + a.uu * u + a.ug * g;
    }
  return x;
}

// The numbers come from torch.optim.SGD (PyTorch 2.15, float64) with lr 0.2 lowered to 0.1 and 0.025 at steps 2 and 4.
TEST(Optimiser, IsTorchSgdWithMomentum) {
  const Weights x = five_steps(small_spec());
  EXPECT_NEAR(x.w[0], 0.32649174999999997, 1e-14);
  EXPECT_NEAR(x.w[1], -1.17055975, 1e-14);
  EXPECT_NEAR(x.u[0], 0.064306, 1e-14);
  EXPECT_NEAR(x.u[1], 0.09239800000000002, 1e-14);
}

TEST(Optimiser, IsTorchSgdWithNesterovAndWeightDecay) {
  Spec spec = small_spec();
  spec.nesterov = true;
  spec.weight_decay = 0.01;
  const Weights x = five_steps(spec);
  EXPECT_NEAR(x.w[0], 0.2511252832319416, 1e-14);
  EXPECT_NEAR(x.w[1], -1.2099870527034453, 1e-14);
  EXPECT_NEAR(x.u[0], 0.06738930169429465, 1e-14);
  EXPECT_NEAR(x.u[1], 0.08332946937910359, 1e-14);
}

TEST(Optimiser, WithoutMomentumWeightsDoNotDependOnVelocities) {
  Spec spec = small_spec();
  spec.momentum = 0;
  const Update u = update_of(spec, 0);
  EXPECT_EQ(u.ww, 1);
  EXPECT_EQ(u.wu, 0);
  EXPECT_DOUBLE_EQ(u.wg, -0.05);
  EXPECT_EQ(u.uu, 0);
}

TEST(Optimiser, LeastRateIsOfTheStepsThatAreTaken) {
  Spec spec = small_spec();  // 0.2, then 0.1 from step 2, 0.025 from step 4
  EXPECT_DOUBLE_EQ(least_rate(spec), 0.025);
  spec.steps = 4;
  EXPECT_DOUBLE_EQ(least_rate(spec), 0.1);
  spec.steps = 1;
  EXPECT_DOUBLE_EQ(least_rate(spec), 0.2);
  spec.schedule = {{0, 4}};  // the rate of the optimiser is never used
  EXPECT_DOUBLE_EQ(least_rate(spec), 0.8);
}

// Every platform must cut the same batches: the client encrypts what the server counts on. The numbers come from
// another implementation of the generator and of the shuffle.
TEST(Optimiser, BatchesAreTheSameEverywhere) {
  Spec spec = small_spec();
  spec.seed = 1;
  spec.batch = 3;
  const auto batches = batches_of(spec, 10);
  EXPECT_EQ(batches, (std::vector<std::vector<std::size_t>>{{1, 4, 9}, {8, 0, 7}, {6, 2, 5}}));
  std::vector<int> order;
  for (int step = 0; step < 16; ++step) order.push_back(batch_of(spec, 4, step));
  EXPECT_EQ(order, (std::vector<int>{0, 1, 3, 2, 0, 2, 1, 3, 0, 1, 3, 2, 3, 2, 1, 0}));
}

TEST(Optimiser, EveryImageIsInOneBatchAndEveryPassTakesAllBatches) {
  Spec spec = small_spec();
  spec.batch = 100;
  spec.seed = 99;
  const auto batches = batches_of(spec, 1234);
  ASSERT_EQ(batches.size(), 12u);
  std::vector<int> seen(1234);
  for (const auto& b : batches) {
    EXPECT_EQ(b.size(), 100u);
    for (std::size_t i : b) ++seen.at(i);
  }
  EXPECT_EQ(std::ranges::count(seen, 1), 1200);
  EXPECT_EQ(std::ranges::count(seen, 0), 34);
  for (int pass = 0; pass < 5; ++pass) {
    std::vector<int> taken(12), all(12, 1);
    for (int k = 0; k < 12; ++k) ++taken.at(static_cast<std::size_t>(batch_of(spec, 12, pass * 12 + k)));
    EXPECT_EQ(taken, all);
  }
  Spec other = spec;
  other.seed = 100;
  EXPECT_NE(batches_of(other, 1234), batches);
}

TEST(Optimiser, ShufflesAreEven) {
  // Where the first of three images ends up, over many seeds: a third of the times in each place.
  Spec spec = small_spec();
  spec.batch = 1;
  std::vector<int> counts(3);
  constexpr int kSeeds = 3000;
  for (int seed = 0; seed < kSeeds; ++seed) {
    spec.seed = static_cast<std::uint64_t>(seed);
    const auto batches = batches_of(spec, 3);
    for (std::size_t k = 0; k < 3; ++k)
      if (batches[k][0] == 0) ++counts[k];
  }
  for (int c : counts) EXPECT_NEAR(c, kSeeds / 3, 130);  // five standard deviations
}

TEST(Optimiser, RefusesFewerImagesThanABatch) {
  EXPECT_TRUE(test::refuses([] { return batches_of(small_spec(), 3); }, {"batch of 4", "there are 3"}));
  EXPECT_EQ(batches_of(small_spec(), 4).size(), 1u);
}

}  // namespace
}  // namespace sotto::training
