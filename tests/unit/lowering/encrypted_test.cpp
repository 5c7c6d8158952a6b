#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "lowering/cost.h"
#include "lowering/features.h"
#include "lowering/step_bootstrap.h"
#include "training/differentiate.h"
#include "training/map_features.h"
#include "training/trained.h"
#include "unit/lowering/toy_training.h"
#include "unit/training/networks.h"

namespace sotto::test {
namespace {

training::Spec spec_for(int batch) {
  training::Spec spec;
  spec.batch = batch;
  spec.steps = 2;
  spec.rate = 0.2;
  spec.momentum = 0.9;
  spec.range = 2;
  return spec;
}

// What tells how much time is left.
TEST(EncryptedTraining, MostOfAStepsTimeIsThatOfBootstraps) {
  NetworkBuilder b({1, 4, 4}, 5);
  b.dense(b.flatten(0), 3);
  const training::Spec spec = spec_for(64);
  const auto plan = lowering::compile(training::differentiate(b.network, spec), spec, {12, 36});
  const program::Program program = lowering::lower(plan).program;
  const std::vector<double> passed = lowering::parts_passed(program, plan.keys.tiers, plan.parameters.log_n);
  ASSERT_EQ(passed.size(), program.instructions.size() + 1);
  EXPECT_EQ(passed.front(), 0);
  EXPECT_EQ(passed.back(), 1);
  EXPECT_TRUE(std::ranges::is_sorted(passed));
  double bootstraps = 0;
  for (std::size_t k = 0; k < program.instructions.size(); ++k)
    if (program.instructions[k].kind == program::Instruction::Kind::bootstrap) bootstraps += passed[k + 1] - passed[k];
  EXPECT_GT(bootstraps, 0.5);
}

// Encrypted steps from the twin's states: new weights and velocities as the twin's, beside what they change by.
// start: what is added to the weights at the beginning, at most.
void expect_steps_as_twin(const graph::Network& network, const training::Spec& spec, int log_n, double start = 0) {
  const int batch = spec.batch;
  ToyTraining toy(lowering::compile(training::differentiate(network, spec), spec, {log_n, 36}));
  const auto& step = toy.plan.step;
  const std::vector<Example> examples = random_examples(
      static_cast<std::size_t>(batch), step.value(step.images).shape.size(), step.value(step.labels).shape.channels);
  std::vector<const Example*> list;
  for (const Example& e : examples) list.push_back(&e);
  const training::Twin twin(step, spec);
  State clear = training::initial_state(step);
  std::mt19937_64 random(9);
  for (auto& list_of_weights : clear.weights)
    for (double& w : list_of_weights) w += std::uniform_real_distribution<double>(-start, start)(random);
  for (int number = 0; number < 2; ++number) {
    const State before = clear;
    const training::Twin::Result found = twin.train(clear, list, number);
    std::vector<double> losses;
    const State encrypted = toy.step(before, list, number, &losses);
    double sum = 0;
    for (double l : losses) sum += l / 2 / batch;
    EXPECT_NEAR(sum, found.loss, 1e-3 * found.loss);
    EXPECT_NEAR(*std::ranges::max_element(losses) / 2, found.worst, 1e-3 * found.worst);
    for (std::size_t p = 0; p < clear.weights.size(); ++p) {
      double error = 0, change = 0, velocity_error = 0;
      for (std::size_t i = 0; i < clear.weights[p].size(); ++i) {
        error = std::hypot(error, encrypted.weights[p][i] - clear.weights[p][i]);
        change = std::hypot(change, clear.weights[p][i] - before.weights[p][i]);
        velocity_error = std::hypot(velocity_error, encrypted.velocities[p][i] - clear.velocities[p][i]);
      }
      EXPECT_GT(change, 0) << p;
      EXPECT_LT(error, 0.02 * change + 1e-6)
          << "step " << number << ", parameter " << p << " of " << step.parameters[p].layer;
      EXPECT_LT(velocity_error, 0.02 * change + 1e-6) << "step " << number << ", parameter " << p;
    }
  }
}

void expect_steps_as_twin(const graph::Network& network, int batch, int log_n, std::vector<std::string> layers = {},
                          double rate = 0.2, training::Spec::Loss loss = training::Spec::Loss::squared_error) {
  training::Spec spec = spec_for(batch);
  spec.loss = loss;
  spec.rate = rate;
  spec.layers = std::move(layers);
  expect_steps_as_twin(network, spec, log_n);
}

TEST(EncryptedTraining, ConvolutionsAndADenseLayer) { expect_steps_as_twin(small_lenet(), 128, 11); }

// What lies behind features that are maps: two values picked out of the images, an adapter beside a convolution that is
// gone, a quadratic, a dense layer of means.
TEST(EncryptedTraining, AnAdapterBehindMaps) {
  for (const int side : {8, 6}) {
    NetworkBuilder b({1, side, side}, 5);
    const int x = quadratic(b, b.conv(0, 3, 3, 1, 1), 0.25, 0.5);
    b.dense(b.mean(quadratic(b, b.affine(b.sum(b.conv(x, 3, 3, 1, 1), x)), 0.2, 0.5)), 3);
    training::Spec spec = spec_for(24);
    spec.adapters = {{b.network.nodes[static_cast<std::size_t>(x) + 1].name, 2}};
    spec.layers = {b.network.nodes.back().name};
    const graph::Network network = training::network_to_train(b.network, spec);
    const training::Standard standard{{0.1, 0.1, 0.1, -0.2, -0.2, -0.2}, {0.9, 0.9, 0.9, 1.3, 1.3, 1.3}};
    expect_steps_as_twin(training::head_behind_maps(network, *training::features_of(network, spec), standard), spec, 11,
                         0.3);
  }
}

// Nothing is padded with free margins, a batch leaves slots empty, and rows and columns have different strides.
TEST(EncryptedTraining, MapsThatFillTheirTiles) {
  NetworkBuilder b({2, 8, 8}, 3);
  const int first = quadratic(b, b.conv(0, 2, 3, 1, 1), 0.25, 0.5);
  b.dense(b.flatten(quadratic(b, b.conv(first, 2, 3, 2, 1), 0.5, 0.25)), 3);
  expect_steps_as_twin(b.network, 20, 11);
}

TEST(EncryptedTraining, SumsAndASquareBesideIt) {
  NetworkBuilder b({1, 7, 7}, 4);
  const int first = b.conv(0, 2, 3, 1, 1);
  const int second = b.conv(quadratic(b, first, 0.25, 0.5), 2, 3, 1, 1);
  b.dense(b.flatten(quadratic(b, b.sum(first, second), 0.2, 0.3)), 3);
  expect_steps_as_twin(b.network, 16, 11);
}

// Summands of different scales at 128 bits: all channels of the sum have one.
TEST(EncryptedTraining, ASumOfAMapAndItsConvolutionHasPlans) {
  NetworkBuilder b({1, 8, 8}, 4);
  const int first = quadratic(b, b.conv(0, 2, 3, 1, 1), 0.2, 0.5);
  b.dense(b.mean(b.sum(first, b.conv(first, 2, 3, 1, 1))), 3);
  const training::Spec spec = spec_for(16);
  EXPECT_GT(lowering::key_bytes_of(lowering::compile(training::differentiate(b.network, spec), spec)), 0U);
}

TEST(EncryptedTraining, PoolsAndMeans) {
  NetworkBuilder b({1, 8, 8}, 5);
  const int first = b.pool(quadratic(b, b.conv(0, 3, 3, 1, 1), 0.25, 0.5), 2, 2, 0);
  b.dense(b.flatten(b.mean(quadratic(b, b.conv(first, 3, 3, 1, 1), 0.25, 0.5))), 3);
  expect_steps_as_twin(b.network, 32, 11);
}

TEST(EncryptedTraining, DenseLayersAlone) {
  NetworkBuilder b({1, 4, 4}, 6);
  b.dense(quadratic(b, b.dense(b.flatten(0), 5), 0.25, 0.5), 3);
  expect_steps_as_twin(b.network, 100, 11);
}

TEST(EncryptedTraining, TheLastLayerAlone) {
  const graph::Network network = small_lenet();
  expect_steps_as_twin(network, 50, 11, {network.nodes.back().name});
}

TEST(EncryptedTraining, TheFirstLayerAlone) {
  const graph::Network network = small_lenet();
  expect_steps_as_twin(network, 128, 11, {network.nodes[1].name});
}

TEST(EncryptedTraining, ALayerBetweenOthers) {
  NetworkBuilder b({1, 6, 6}, 8);
  const int second = b.conv(quadratic(b, b.conv(0, 2, 3, 1, 1), 0.25, 0.5), 2, 3, 1, 1);
  b.dense(quadratic(b, b.dense(b.flatten(quadratic(b, second, 0.25, 0.5)), 4), 0.25, 0.5), 3);
  expect_steps_as_twin(b.network, 32, 11, {b.network.nodes[static_cast<std::size_t>(second)].name});
}

// Each step from what the one before it left, not from the twin's state: factors that a step applies to all weights add
// up. Whatever the range: what is bootstrapped is divided by it.
TEST(EncryptedTraining, WeightsDoNotDriftOverManySteps) {
  NetworkBuilder b({1, 4, 4}, 6);
  b.dense(b.flatten(0), 3);
  for (const double range : {2.0, 3.0, 50.0, 1e6}) {
    training::Spec spec = spec_for(100);
    spec.range = range;
    spec.rate = 0.001;
    ToyTraining toy(lowering::compile(training::differentiate(b.network, spec), spec, {11, 36}));
    const auto& step = toy.plan.step;
    const std::vector<Example> examples = random_examples(100, step.value(step.images).shape.size(), 3);
    std::vector<const Example*> list;
    for (const Example& e : examples) list.push_back(&e);
    State clear = training::initial_state(step);
    for (auto& weights : clear.weights)
      for (double& w : weights) w += range / 3;
    State encrypted = clear;
    const training::Twin twin(step, spec);
    for (int number = 0; number < 5; ++number) {
      twin.train(clear, list, number);
      encrypted = toy.step(encrypted, list, number, nullptr);
    }
    double error = 0;
    for (std::size_t p = 0; p < clear.weights.size(); ++p)
      for (std::size_t i = 0; i < clear.weights[p].size(); ++i)
        error = std::max(error, std::abs(encrypted.weights[p][i] - clear.weights[p][i]));
    EXPECT_LT(error, 1e-5 * range) << "range " << range;
  }
}

// Images that are not there, most of them here, teach nothing.
TEST(EncryptedTraining, Softmax) {
  NetworkBuilder b({1, 4, 4}, 6);
  b.dense(quadratic(b, b.dense(b.flatten(0), 5), 0.25, 0.5), 3);
  expect_steps_as_twin(b.network, 20, 11, {}, 0.2, training::Spec::Loss::softmax);
}

TEST(EncryptedTraining, SoftmaxBehindConvolutions) {
  expect_steps_as_twin(small_lenet(), 100, 11, {}, 0.2, training::Spec::Loss::softmax);
}

// Gradients keep their precision however small a part of them enters the weights.
TEST(EncryptedTraining, SmallRates) {
  NetworkBuilder b({1, 4, 4}, 7);
  b.dense(b.flatten(quadratic(b, b.conv(0, 2, 3, 1, 1), 0.25, 0.5)), 3);
  for (const double rate : {0.01, 0.001}) expect_steps_as_twin(b.network, 128, 11, {}, rate);
}

// The largest rate there is, with few images: a gradient enters the weights many times over.
TEST(EncryptedTraining, HugeRatesHavePlans) {
  NetworkBuilder b({5, 1, 1}, 7);
  b.dense(b.flatten(0), 3);
  for (const int batch : {1, 60, 128}) {
    training::Spec spec = spec_for(batch);
    spec.rate = 1000;
    EXPECT_NO_THROW((void)lowering::compile(training::differentiate(b.network, spec), spec, {11, 36})) << batch;
  }
}

// Two ciphertexts for each map.
TEST(EncryptedTraining, BatchesOfTwoGroups) {
  NetworkBuilder b({1, 4, 4}, 7);
  b.dense(b.flatten(quadratic(b, b.conv(0, 2, 3, 1, 1), 0.25, 0.5)), 3);
  expect_steps_as_twin(b.network, 200, 11);
}

// What runs once for every image gives a ciphertext for each feature, whose numbers lie at the first positions of their
// images among others that mean nothing; a step wants them side by side.
TEST(EncryptedTraining, FeaturesArePackedAsTheImagesOfAStep) {
  constexpr int kLogN = 11, kBatch = 100, kFeatures = 24, kTile = 4;
  NetworkBuilder b({2, 3, 4}, 5);
  b.dense(b.flatten(0), 3);
  const training::Spec spec = spec_for(kBatch);
  lowering::Body body;
  body.range = 4;
  body.client.tile = kTile;
  body.client.io.outputs = kFeatures;
  body.client.output_level = lowering::feature_limbs(kLogN);
  body.client.output_scale = 0x1p34;
  body.client.parameters = {.log_n = kLogN, .ciphertext_primes = 2, .special_primes = 1};
  const ToyTraining toy(lowering::compile(training::differentiate(b.network, spec), spec, {kLogN, 36}, body));
  ASSERT_EQ(toy.plan.arrangement.tile, kTile);

  const std::vector<Example> examples = random_examples(kBatch, kFeatures, 3);
  std::vector<const Example*> list;
  for (const Example& e : examples) list.push_back(&e);
  std::mt19937_64 random(2);
  std::normal_distribution<double> normal;
  std::vector<ckks::PackedCiphertext> in;
  for (std::size_t f = 0; f < kFeatures; ++f) {
    std::vector<double> slots(toy.ring->n());
    for (std::size_t s = 0; s < slots.size(); ++s) slots[s] = 3 * normal(random);
    for (std::size_t i = 0; i < slots.size() / (kTile * kTile); ++i)
      slots[i * kTile * kTile] = i < kBatch ? examples[i].image[f] : 0;
    const ckks::Plaintext m = ckks::encode(*toy.ring, toy.encoder.embed_inverse(std::span<const double>(slots)),
                                           body.client.output_scale, body.client.output_level);
    in.push_back(
        ckks::pack(*toy.ring, ckks::expand(*toy.ring, secret::encrypt_symmetric(toy.key, m, ckks::random_seed(), 0))));
  }
  const program::Program packing = lowering::pack_features(toy.plan);
  const auto out = runtime::ProgramRun(packing, *toy.evaluator, nullptr).run(std::move(in), {});
  ASSERT_EQ(out.size(), 2U);
  for (std::size_t c = 0; c < out.size(); ++c) {
    EXPECT_EQ(out[c].limbs(), toy.plan.levels.bootstrapping.input_limbs());
    const std::vector<double> found = toy.decrypt(out[c]),
                              wanted = lowering::pack_images(toy.plan.step, toy.plan.arrangement, list, 0,
                                                             static_cast<int>(c), 0);
    for (std::size_t s = 0; s < wanted.size(); ++s) ASSERT_NEAR(found[s], wanted[s], 1e-4) << "slot " << s;
  }
}

// Maps lie where the step expects them already; what surrounds them is cleared.
TEST(EncryptedTraining, MapsBecomeImagesOfAStep) {
  constexpr int kLogN = 11, kBatch = 10, kChannels = 3, kSide = 6, kTile = 4;
  NetworkBuilder b({kChannels, kSide, kSide}, 5);
  b.dense(b.flatten(0), 3);
  const training::Spec spec = spec_for(kBatch);
  lowering::Body body;
  body.range = 4;
  body.maps = true;
  body.client.tile = kTile;
  body.client.io.outputs = kChannels;
  body.client.output_level = lowering::feature_limbs(kLogN);
  body.client.output_scale = 0x1p34;
  body.client.parameters = {.log_n = kLogN, .ciphertext_primes = 2, .special_primes = 1};
  const ToyTraining toy(lowering::compile(training::differentiate(b.network, spec), spec, {kLogN, 36}, body));
  const std::vector<Example> examples = random_examples(kBatch, kChannels * kSide * kSide, 3);
  std::vector<const Example*> list;
  for (const Example& e : examples) list.push_back(&e);
  const auto& layout = toy.plan.arrangement.layouts[static_cast<std::size_t>(toy.plan.step.images)];
  ASSERT_EQ(layout.phase_count(), 4);
  std::vector<ckks::PackedCiphertext> in;
  for (int phase = 0; phase < 4; ++phase) {
    const std::vector<bool> pixels = lowering::pixels_of(layout, kTile, phase);
    for (int c = 0; c < kChannels; ++c) {
      std::vector<double> slots = lowering::pack_images(toy.plan.step, toy.plan.arrangement, list, 0, c, phase);
      for (std::size_t s = 0; s < slots.size(); ++s)
        if (!pixels[s % pixels.size()]) slots[s] = 2;
      const ckks::Plaintext m = ckks::encode(*toy.ring, toy.encoder.embed_inverse(std::span<const double>(slots)),
                                             body.client.output_scale, body.client.output_level);
      in.push_back(ckks::pack(*toy.ring,
                              ckks::expand(*toy.ring, secret::encrypt_symmetric(toy.key, m, ckks::random_seed(), 0))));
    }
  }
  const program::Program packing = lowering::pack_features(toy.plan);
  const auto out = runtime::ProgramRun(packing, *toy.evaluator, nullptr).run(std::move(in), {});
  ASSERT_EQ(out.size(), 12U);
  for (int k = 0; k < 12; ++k) {
    const std::vector<double> found = toy.decrypt(out[static_cast<std::size_t>(k)]),
                              wanted =
                                  lowering::pack_images(toy.plan.step, toy.plan.arrangement, list, 0, k / 4, k % 4);
    for (std::size_t s = 0; s < wanted.size(); ++s) ASSERT_NEAR(found[s], wanted[s], 1e-4) << "slot " << s;
  }
}

}  // namespace
}  // namespace sotto::test
