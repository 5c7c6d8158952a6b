#include "training/moments.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <random>

#include "support/expect_error.h"
#include "support/values.h"
#include "training/differentiate.h"
#include "training/run_twin.h"
#include "unit/training/networks.h"

namespace sotto::training {
namespace {

using test::NetworkBuilder;

constexpr int kClasses = 3, kFeatures = 12;

Spec at_once(int batch, int steps) {
  Spec spec;
  spec.optimiser = Spec::Optimiser::normal_equations;
  spec.batch = batch;
  spec.steps = steps;
  spec.ridge = 0.01;
  return spec;
}

graph::Network dense_network() {
  NetworkBuilder b({3, 2, 2}, 3);
  b.dense(b.flatten(0), kClasses);
  return b.network;
}

// Images that tell a little about their classes, which are not equally many.
std::vector<Example> examples_of(std::size_t count) {
  std::vector<Example> out;
  std::mt19937_64 random(3);
  std::normal_distribution<double> normal;
  for (std::size_t i = 0; i < count; ++i) {
    Example& e = out.emplace_back();
    e.label = static_cast<int>(i % 7 % kClasses);
    for (int k = 0; k < kFeatures; ++k)
      e.image.push_back(0.3 + normal(random) + (k == e.label ? 1 : 0) + (k > 6 && !e.image.empty() ? e.image[2] : 0));
  }
  return out;
}

std::vector<const Example*> pointers(const std::vector<Example>& examples) {
  std::vector<const Example*> out;
  for (const Example& e : examples) out.push_back(&e);
  return out;
}

TEST(Moments, AreSumsOverImages) {
  const Step step = differentiate(dense_network(), Spec{});
  std::vector<Example> examples = examples_of(2);
  examples[0].label = 1, examples[1].label = 1;
  const Moments m = moments_of(step, pointers(examples));
  const auto &a = examples[0].image, &b = examples[1].image;
  EXPECT_EQ(m.images(), 2);
  EXPECT_EQ(m.counts, (std::vector<double>{0, 2, 0}));
  EXPECT_DOUBLE_EQ(m.squares[3 * kFeatures + 5], a[3] * a[5] + b[3] * b[5]);
  EXPECT_DOUBLE_EQ(m.squares[5 * kFeatures + 3], m.squares[3 * kFeatures + 5]);
  EXPECT_DOUBLE_EQ(m.products[kFeatures + 4], a[4] + b[4]);
  EXPECT_EQ(m.products[4], 0);
  const Moments half = added(m, moments_of(step, std::vector<const Example*>{&examples[1]}), -1);
  EXPECT_NEAR(half.products[kFeatures + 4], a[4], 1e-12);
}

// At the best weights the gradient of the squared error is minus that of the ridge, and none for the biases.
TEST(Moments, SolvedTheyLeaveNoGradient) {
  Spec spec = at_once(40, 1);
  const Step step = differentiate(dense_network(), spec);
  const std::vector<Example> examples = examples_of(40);
  const auto weights = solve(moments_of(step, pointers(examples)), spec.ridge);
  ASSERT_TRUE(weights);
  State state = initial_state(step);
  state.weights = *weights;
  Twin::Result result;
  const auto gradients = Twin(step, spec).gradients(state, pointers(examples), &result);
  for (std::size_t i = 0; i < gradients[0].size(); ++i)
    EXPECT_NEAR(gradients[0][i] / 40, -spec.ridge * (*weights)[0][i], 1e-12);
  for (double g : gradients[1]) EXPECT_NEAR(g, 0, 1e-10);
  EXPECT_NEAR(loss_of(moments_of(step, pointers(examples)), *weights), result.loss, 1e-12);
}

TEST(Moments, LossesAreThoseOfAnyWeights) {
  const Step step = differentiate(dense_network(), Spec{});
  const std::vector<Example> examples = examples_of(9);
  Spec spec = at_once(9, 1);
  Twin::Result result;
  const State state = initial_state(step);
  Twin(step, spec).gradients(state, pointers(examples), &result);
  EXPECT_NEAR(loss_of(moments_of(step, pointers(examples)), state.weights), result.loss, 1e-12);
}

// The twin solves after every step; behind the last one it has seen all, in whatever order.
TEST(Moments, OnePassOverAllBatches) {
  const Spec spec = at_once(16, 3);
  const Step step = differentiate(dense_network(), spec);
  const std::vector<Example> examples = examples_of(48);
  const auto steps = run_twin(step, spec, examples);
  ASSERT_EQ(steps.size(), 3U);
  const auto wanted = solve(moments_of(step, pointers(examples)), spec.ridge);
  ASSERT_TRUE(wanted);
  for (std::size_t p = 0; p < wanted->size(); ++p)
    EXPECT_LT(test::relative_error(steps.back().state.weights[p], (*wanted)[p]), 1e-10);
  EXPECT_LT(steps[1].result.loss, steps[0].result.loss);
  EXPECT_TRUE(in_range(steps.back().state, steps.back().result.worst, spec));
}

// Only behind the last step it matters whether there is a solution.
TEST(Moments, WithoutASolutionInTheEndTheTwinHasLeftItsRange) {
  Spec spec = at_once(8, 3);
  spec.ridge = 0;
  const Step step = differentiate(dense_network(), spec);
  std::vector<Example> examples = examples_of(24);
  const auto in_range_after = [&](std::size_t number) {
    const TwinStep found = run_twin(step, spec, examples)[number];
    return in_range(found.state, found.result.worst, spec);
  };
  EXPECT_TRUE(in_range_after(0)) << "fewer images than features";
  EXPECT_TRUE(in_range_after(2));
  for (Example& e : examples) e.image[4] = 0;
  EXPECT_TRUE(in_range_after(0));
  EXPECT_FALSE(in_range_after(2));
}

TEST(Moments, ThatBelongToNoImagesHaveNoSolution) {
  const Step step = differentiate(dense_network(), Spec{});
  const std::vector<Example> examples = examples_of(5);  // fewer than features
  Moments m = moments_of(step, pointers(examples));
  EXPECT_TRUE(solve(m, 0.01));
  for (std::size_t i = 0; i < kFeatures; ++i) m.squares[i * kFeatures + i] -= 20;  // as errors may make them
  EXPECT_FALSE(solve(m, 0.01));
  EXPECT_TRUE(solve(m, 10));
  m = moments_of(step, pointers(examples));
  m.products[3] = NAN;
  EXPECT_FALSE(solve(m, 0.01));
  m = moments_of(step, pointers(examples));
  m.counts[0] = -100;
  EXPECT_FALSE(solve(m, 0.01));
  EXPECT_FALSE(solve(no_moments(step), 0.01));
}

TEST(Moments, TellHowMuchErrorsOfTheSumsChangeTheWeights) {
  const Step step = differentiate(dense_network(), Spec{});
  const std::vector<Example> examples = examples_of(400);
  const Moments m = added(no_moments(step), moments_of(step, pointers(examples)), 1.0 / 400);
  EXPECT_EQ(weight_error(m, 0.01, 0), 0);
  const double few = weight_error(m, 0.01, 1e-6), many = weight_error(m, 0.01, 1e-5);
  EXPECT_GT(few, 1e-6);
  EXPECT_LT(few, 1e-4);
  EXPECT_NEAR(many / few, 10, 0.5);
  EXPECT_LT(weight_error(m, 10, 1e-5), many) << "a ridge stands errors";
  EXPECT_TRUE(std::isinf(weight_error(m, 0.01, 1)));
  EXPECT_TRUE(std::isinf(weight_error(m, 0.01, NAN)));
  EXPECT_TRUE(std::isinf(weight_error(no_moments(step), 0.01, 1e-6)));
}

TEST(Moments, AlikeFeaturesMakeErrorsLarge) {
  const Step step = differentiate(dense_network(), Spec{});
  std::vector<Example> examples = examples_of(400);
  const auto error = [&] {
    return weight_error(added(no_moments(step), moments_of(step, pointers(examples)), 1.0 / 400), 1e-4, 1e-6);
  };
  const double apart = error();
  for (Example& e : examples) e.image[5] = e.image[6];
  EXPECT_GT(error(), 10 * apart);
}

TEST(Moments, AreOfOneDenseLayerAlone) {
  const auto refused = [](const std::function<void(NetworkBuilder&)>& build) {
    NetworkBuilder b({1, 4, 4}, 1);
    build(b);
    const Step step = differentiate(b.network, Spec{});
    return test::refuses([&] { require_dense_layer(step); }, {"normal equations", "sgd"});
  };
  EXPECT_NO_THROW(require_dense_layer(differentiate(dense_network(), Spec{})));
  EXPECT_TRUE(refused([](auto& b) { b.dense(b.dense(b.flatten(0), 4), 3); }));
  EXPECT_TRUE(refused([](auto& b) { b.dense(b.flatten(b.conv(0, 2, 3, 1, 1)), 3); }));
  EXPECT_TRUE(refused([](auto& b) { b.dense(b.flatten(b.square(0)), 3); }));
  EXPECT_TRUE(refused([](auto& b) { b.square(b.dense(b.flatten(0), 3)); }));
}

}  // namespace
}  // namespace sotto::training
