#include "training/twin.h"

#include <gtest/gtest.h>
#include <tbb/global_control.h>

#include <cmath>

#include "graph/interpreter.h"
#include "support/expect_error.h"
#include "support/values.h"
#include "training/differentiate.h"
#include "training/run_twin.h"
#include "training/trained.h"
#include "unit/training/networks.h"

namespace sotto::training {
namespace {

using test::NetworkBuilder;
using test::quadratic;
using test::relative_error;

std::vector<Example> random_examples(const Step& step, std::size_t count, unsigned seed) {
  std::vector<Example> out;
  const auto classes = static_cast<int>(step.value(step.labels).size());
  for (std::size_t i = 0; i < count; ++i)
    out.push_back({test::random_values(step.value(step.images).size(), seed + static_cast<unsigned>(i), 1),
                   static_cast<int>(i) % classes});
  return out;
}

std::vector<const Example*> pointers(const std::vector<Example>& examples) {
  std::vector<const Example*> out;
  for (const Example& e : examples) out.push_back(&e);
  return out;
}

using Loss = Spec::Loss;

// What scores stand for.
double probability(double score, Loss loss, std::size_t classes) {
  return loss == Loss::softmax ? std::pow(std::pow(classes, -1. / 8) + score / 8, 8) : score;
}

// Half the squared errors of all examples, by the interpreter of networks.
double squared_errors(const graph::Network& network, Loss loss, const std::vector<Example>& examples) {
  double sum = 0;
  for (const Example& e : examples) {
    const std::vector<double> scores = graph::evaluate(network, e.image);
    for (std::size_t k = 0; k < scores.size(); ++k)
      sum += std::pow(probability(scores[k], loss, scores.size()) - (static_cast<int>(k) == e.label ? 1 : 0), 2) / 2;
  }
  return sum;
}

// What gradients are of: squared errors, or the integral of probabilities less the right scores.
double loss_of(const graph::Network& network, Loss loss, const std::vector<Example>& examples) {
  if (loss == Loss::squared_error) return squared_errors(network, loss, examples);
  double sum = 0;
  for (const Example& e : examples) {
    const std::vector<double> scores = graph::evaluate(network, e.image);
    for (double s : scores) sum += 8. / 9 * std::pow(std::pow(scores.size(), -1. / 8) + s / 8, 9);
    sum -= scores[static_cast<std::size_t>(e.label)];
  }
  return sum;
}

// Gradients against the differences of losses that another interpreter computes.
void expect_gradients(const graph::Network& network, Loss loss = Loss::squared_error) {
  Spec spec;
  spec.batch = 3;
  spec.loss = loss;
  const Step step = differentiate(network, spec);
  const std::vector<Example> examples = random_examples(step, 3, 5);
  State state = initial_state(step);
  Twin::Result result;
  const auto gradients = Twin(step, spec).gradients(state, pointers(examples), &result);
  EXPECT_NEAR(result.loss * 3, squared_errors(network, loss, examples), 1e-9);
  constexpr double kStep = 1e-5;
  for (std::size_t p = 0; p < gradients.size(); ++p) {
    std::vector<double> expected;
    for (double& w : state.weights[p]) {
      const double before = w;
      w = before + kStep;
      const double above = loss_of(trained(network, step, state.weights), loss, examples);
      w = before - kStep;
      const double below = loss_of(trained(network, step, state.weights), loss, examples);
      w = before;
      expected.push_back((above - below) / (2 * kStep));
    }
    EXPECT_LT(relative_error(gradients[p], expected), 1e-6)
        << step.parameters[p].layer << (step.parameters[p].bias ? " bias" : " weights");
  }
}

TEST(Twin, GradientsOfConvolutionsAndQuadratics) { expect_gradients(test::small_lenet()); }

TEST(Twin, GradientsOfSoftmax) {
  expect_gradients(test::small_lenet(), Loss::softmax);
  NetworkBuilder b({1, 3, 4}, 4);
  b.dense(b.flatten(0), 10);
  expect_gradients(b.network, Loss::softmax);
}

// At first, of weights that are zero, all classes are alike; where the loss is least the scores are logarithms of
// probabilities, up to a constant: of images of one class alone, and of images that say nothing about theirs.
TEST(Twin, SoftmaxFindsProbabilities) {
  NetworkBuilder b({1, 1, 1}, 1);
  b.dense(b.flatten(0), 4);
  auto& dense = std::get<graph::Dense>(b.network.nodes.back().op);
  dense.weights.assign(4, 0), dense.bias.assign(4, 0);
  Spec spec;
  spec.loss = Loss::softmax;
  spec.batch = 8;
  spec.steps = 600;
  spec.rate = 0.5;
  spec.momentum = 0.9;
  const Step step = differentiate(b.network, spec);
  std::vector<Example> examples;
  for (const int label : {0, 0, 0, 0, 1, 1, 2, 3}) examples.push_back({{0}, label});
  const auto steps = run_twin(step, spec, examples);
  EXPECT_NEAR(steps.front().result.loss, (0.75 * 0.75 + 3 * 0.25 * 0.25) / 2, 1e-12);
  const std::vector<double>& biases = steps.back().state.weights[1];
  const double wanted[] = {0.5, 0.25, 0.125, 0.125};
  for (std::size_t k = 0; k < 4; ++k) EXPECT_NEAR(probability(biases[k], Loss::softmax, 4), wanted[k], 1e-6);
}

TEST(Twin, ScoresBeyondTheRangeOfSoftmaxAreFound) {
  NetworkBuilder b({1, 1, 1}, 1);
  b.dense(b.flatten(0), 2);
  auto& dense = std::get<graph::Dense>(b.network.nodes.back().op);
  dense.weights = {1, 0}, dense.bias = {0, 0};
  Spec spec;
  spec.batch = 2;
  spec.range = 100;
  const std::vector<Example> near{{{0.5}, 0}, {{-8}, 1}}, above{{{9}, 0}, {{0}, 1}}, below{{{0}, 0}, {{-30}, 1}};
  for (const Loss loss : {Loss::softmax, Loss::squared_error}) {
    spec.loss = loss;
    const Step step = differentiate(b.network, spec);
    const State state = initial_state(step);
    const auto found = [&](const std::vector<Example>& examples) {
      Twin::Result r;
      Twin(step, spec).gradients(state, pointers(examples), &r);
      EXPECT_GE(r.worst, r.loss);
      return !in_range(state, r.worst, spec);
    };
    EXPECT_FALSE(found(near));
    EXPECT_EQ(found(above), loss == Loss::softmax);
    EXPECT_EQ(found(below), loss == Loss::softmax);
  }
}

TEST(Twin, GradientsOfOddConvolutions) {
  NetworkBuilder b({2, 7, 5}, 3);
  graph::Conv2d c;
  c.out_c = 3, c.kernel_h = 3, c.kernel_w = 2, c.stride_h = 2, c.stride_w = 1;
  c.pad_top = 2, c.pad_left = 0, c.pad_bottom = 1, c.pad_right = 1;
  const int first = quadratic(b, b.conv(0, c), -0.3, 0.2, 0.7);
  c.kernel_h = 2, c.kernel_w = 4, c.stride_h = 1, c.stride_w = 3, c.pad_left = 3, c.pad_right = 2;
  b.dense(b.flatten(b.square(b.conv(first, c))), 3);
  expect_gradients(b.network);
}

TEST(Twin, GradientsOfDenseLayers) {
  NetworkBuilder b({1, 3, 4}, 4);
  b.dense(quadratic(b, b.dense(b.flatten(0), 5), 0.5, 0), 3);
  expect_gradients(b.network);
}

TEST(Twin, GradientsOfResidualSums) {
  NetworkBuilder b({2, 5, 5}, 5);
  const int x = quadratic(b, b.conv(0, 3, 3, 1, 1), 0.25, 0.5);
  const int y = quadratic(b, b.sum(b.conv(x, 3, 3, 1, 1), x), 0.2, 0.5);
  const int z = b.sum(y, quadratic(b, b.conv(y, 3, 1, 1, 0), 1, -1));
  b.dense(b.flatten(b.sum(z, b.square(z))), 4);
  expect_gradients(b.network);
}

TEST(Twin, GradientsOfPoolsAndMeans) {
  NetworkBuilder b({2, 9, 8}, 6);
  const int first = b.pool(quadratic(b, b.conv(0, 3, 3, 1, 1), 0.25, 0.5), 3, 2, 1);  // windows overlap, pads count
  b.dense(b.flatten(b.mean(quadratic(b, b.conv(first, 2, 3, 1, 1), 0.5, 0.25))), 3);
  expect_gradients(b.network);
}

TEST(Twin, GradientsOfBiasesThatAreNodes) {
  NetworkBuilder b({1, 4, 4}, 6);
  const auto with_bias = [&](int layer) {
    std::visit(
        [](auto& op) {
          if constexpr (requires { op.bias; }) std::ranges::fill(op.bias, 0.0);
        },
        b.network.nodes.back().op);
    const int node = b.affine(layer);
    std::ranges::fill(std::get<graph::ChannelAffine>(b.network.nodes.back().op).scale, 1.0);
    return node;
  };
  with_bias(b.dense(b.flatten(b.square(with_bias(b.conv(0, 2, 3, 1, 1)))), 3));
  expect_gradients(b.network);
}

TEST(Twin, OneStepFollowsTheGradient) {
  Spec spec;
  spec.batch = 4;
  spec.rate = 0.01;
  const Step step = differentiate(test::small_lenet(), spec);
  const std::vector<Example> examples = random_examples(step, 4, 1);
  const Twin twin(step, spec);
  State state = initial_state(step);
  const auto gradients = twin.gradients(state, pointers(examples));
  twin.train(state, pointers(examples), 0);
  for (std::size_t p = 0; p < gradients.size(); ++p)
    for (std::size_t i = 0; i < gradients[p].size(); ++i) {
      EXPECT_NEAR(state.weights[p][i], step.parameters[p].initial[i] - 0.01 * gradients[p][i] / 4, 1e-14);
      EXPECT_NEAR(state.velocities[p][i], 0.01 * gradients[p][i] / 4, 1e-14);
    }
}

TEST(Twin, LearnsWhatItIsShown) {
  Spec spec;
  spec.batch = 8;
  spec.steps = 150;
  spec.rate = 0.05;
  spec.momentum = 0.9;
  const Step step = differentiate(test::small_lenet(), spec);
  const auto steps = run_twin(step, spec, random_examples(step, 16, 1));
  ASSERT_EQ(steps.size(), 150u);
  EXPECT_LT(steps.back().result.loss, 0.02 * steps.front().result.loss);
  EXPECT_NE(steps[0].batch, steps[1].batch);
}

TEST(Twin, PeaksAreTheLargestMagnitudes) {
  NetworkBuilder b({1, 1, 2}, 1);
  b.dense(b.flatten(0), 2);
  auto& dense = std::get<graph::Dense>(b.network.nodes.back().op);
  dense.weights = {1, -3, 2, 0};
  dense.bias = {0.5, -0.25};
  Spec spec;
  spec.batch = 2;
  const Step step = differentiate(b.network, spec);
  const std::vector<Example> examples{{{2, 1}, 0}, {{-4, 0}, 1}};
  Twin::Result r;
  Twin(step, spec).gradients(initial_state(step), pointers(examples), &r);
  const auto peak = [&](int v) { return r.peaks[static_cast<std::size_t>(v)]; };
  EXPECT_EQ(peak(step.images), 4);
  EXPECT_EQ(peak(step.labels), 1);
  EXPECT_EQ(peak(step.scores), 8.25);  // -3.5 and -8.25 for the second image, -0.5 and 3.75
  EXPECT_EQ(peak(step.error), 9.25);
  EXPECT_EQ(peak(step.parameters[0].value), 3);
  EXPECT_EQ(peak(step.parameters[0].gradient), 44.5);  // 2 * 3.75 + 4 * 9.25
}

TEST(Twin, PeaksOfWhatIsNoNumberAreInfinite) {
  Spec spec;
  spec.batch = 1;
  const Step step = differentiate(test::small_lenet(), spec);
  std::vector<Example> examples = random_examples(step, 1, 1);
  examples[0].image[3] = NAN;
  Twin::Result r;
  Twin(step, spec).gradients(initial_state(step), pointers(examples), &r);
  EXPECT_TRUE(std::isinf(r.peaks[static_cast<std::size_t>(step.scores)]));
}

TEST(Twin, DoesNotDependOnTheNumberOfThreads) {
  Spec spec;
  spec.batch = 100;
  spec.steps = 3;
  const Step step = differentiate(test::small_lenet(), spec);
  const std::vector<Example> examples = random_examples(step, 230, 1);
  const auto run = [&](std::size_t threads) {
    const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, threads);
    return run_twin(step, spec, examples, 1e-3);
  };
  const auto one = run(1), many = run(4);
  for (std::size_t k = 0; k < one.size(); ++k) {
    EXPECT_EQ(one[k].result.loss, many[k].result.loss);
    EXPECT_EQ(one[k].result.peaks, many[k].result.peaks);
    EXPECT_EQ(one[k].state.weights, many[k].state.weights);
    EXPECT_EQ(one[k].state.velocities, many[k].state.velocities);
  }
}

TEST(Twin, NoiseIsAPartOfTheRange) {
  Spec spec;
  spec.batch = 2;
  spec.steps = 2;
  spec.rate = 1e-9;  // so that steps hand on errors as they are
  spec.range = 4;
  NetworkBuilder b({1, 30, 30}, 1);
  b.dense(b.flatten(0), 4);
  const Step step = differentiate(b.network, spec);
  const std::vector<Example> examples = random_examples(step, 2, 1);
  const auto exact = run_twin(step, spec, examples), noisy = run_twin(step, spec, examples, 1e-2);
  for (std::size_t s = 0; s < 2; ++s) {
    double sum = 0;
    const auto &a = exact[s].state.weights[0], &n = noisy[s].state.weights[0];
    for (std::size_t i = 0; i < a.size(); ++i) sum += std::pow(n[i] - a[i], 2);
    EXPECT_NEAR(sum / static_cast<double>(a.size()), std::pow(4e-2, 2) * static_cast<double>(s + 1), 3e-4) << s;
  }
}

TEST(Twin, RefusesExamplesThatDoNotFit) {
  Spec spec;
  spec.batch = 1;
  spec.steps = 1;
  const Step step = differentiate(test::small_lenet(), spec);
  std::vector<Example> examples = random_examples(step, 1, 1);
  examples[0].label = 4;
  EXPECT_TRUE(test::refuses([&] { return run_twin(step, spec, examples); }, {"label 4", "0 to 3"}));
  examples[0].label = 0;
  examples[0].image.pop_back();
  EXPECT_TRUE(test::refuses([&] { return run_twin(step, spec, examples); }, {"another size"}));
  EXPECT_TRUE(test::refuses([&] { return run_twin(step, spec, {}); }, {"there are 0"}));
}

}  // namespace
}  // namespace sotto::training
