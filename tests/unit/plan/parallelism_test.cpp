// Predictions for other numbers of threads.
#include "plan/parallelism.h"

#include <gtest/gtest.h>

#include "plan/in_flight.h"
#include "support/plan_builder.h"

namespace sotto::plan {
namespace {

// Only transforms count: everything else is free.
constexpr Speed kTransforms{.transform = 1e-3};

TEST(Parallelism, CiphertextsInFlightFillTheThreads) {
  EXPECT_EQ(in_flight(20, 1), 1);
  EXPECT_EQ(in_flight(20, 2), 1);
  EXPECT_EQ(in_flight(20, 39), 1);
  EXPECT_EQ(in_flight(20, 40), 2);
  EXPECT_EQ(in_flight(1, 8), 8);
  EXPECT_EQ(in_flight(0, 3), 3);
}

TEST(Parallelism, OneThreadTakesAllOfTheWork) {
  for (const Plan& p : {test::small_plan(), test::small_grouped_plan()}) {
    const Cost cost = estimate(p, 1);
    Speed speed = kTypicalSpeed;
    speed.threads = 1;
    EXPECT_NEAR(seconds_with(p, cost, speed, 1) / cost.seconds(speed), 1, 1e-9);
  }
}

TEST(Parallelism, MoreThreadsAreNeverSlowerAndNeverFasterThanTheCriticalPath) {
  for (const Plan& p : {test::small_plan(), test::small_grouped_plan()}) {
    const Cost cost = estimate(p, 1);
    const double path = critical_path(p, cost, kTypicalSpeed);
    EXPECT_GT(path, 0);
    double last = HUGE_VAL;
    for (int threads : {1, 2, 4, 8, 16, 32, 64, 128, 256, 1024}) {
      const double seconds = seconds_with(p, cost, kTypicalSpeed, threads);
      EXPECT_LE(seconds, last * (1 + 1e-12)) << threads;
      EXPECT_GE(seconds, path) << threads;
      last = seconds;
    }
  }
}

TEST(Parallelism, ThreadsThatDivideTheLimbsShareThemEvenly) {
  // One square of one ciphertext with 4 limbs of two polynomials: 8 pieces.
  test::PlanBuilder b(8, 4, {1, 4, 4, 1, 1}, 5);
  const int x = b.step({b.convolution(0, 1, 1, 1, 0)}, {1, 4, 4, 1, 1}, Kind::square);
  const int y = b.step({b.convolution(x, 1, 1, 1, 0)}, {1, 4, 4, 1, 1}, Kind::square);
  b.step({b.full(y, 1)}, {1, 1, 1, 1, 4}, test::kinds::keep);
  const Plan p = b.build();
  Cost cost = estimate(p, 1);
  cost.tasks = {cost.tasks[1]};
  ASSERT_EQ(p.steps[1].level.limbs, 4);
  const double one = seconds_with(p, cost, kTransforms, 1);
  ASSERT_GT(one, 0);
  EXPECT_NEAR(seconds_with(p, cost, kTransforms, 2) * speed_up(2), one, 1e-12);
  EXPECT_NEAR(seconds_with(p, cost, kTransforms, 4) * speed_up(4), one, 1e-12);
  EXPECT_NEAR(seconds_with(p, cost, kTransforms, 3) * speed_up(3), one * 3 * 3 / 8, 1e-12) << "three rounds of three";
}

}  // namespace
}  // namespace sotto::plan
