#include "lowering/moments.h"

#include <gtest/gtest.h>

#include <cmath>

#include "lowering/files.h"
#include "lowering/moments_twin.h"
#include "support/expect_error.h"
#include "support/values.h"
#include "training/differentiate.h"
#include "unit/lowering/toy_training.h"
#include "unit/training/networks.h"

namespace sotto::test {
namespace {

training::Spec spec_for(int batch, int steps) {
  training::Spec spec;
  spec.optimiser = training::Spec::Optimiser::normal_equations;
  spec.batch = batch;
  spec.steps = steps;
  return spec;
}

graph::Network dense_network(graph::Shape shape, int classes = 3) {
  NetworkBuilder b({shape.c, shape.h, shape.w}, 5);
  b.dense(b.flatten(0), classes);
  return b.network;
}

// Two encrypted batches, one after the other, against sums in the clear. garbage: what lies where there is no image.
void expect_moments(graph::Shape shape, int batch, double garbage = 0, int log_n = 12, int classes = 3) {
  const training::Spec spec = spec_for(batch, 2);
  ToyTraining toy(lowering::compile(training::differentiate(dense_network(shape, classes), spec), spec, {log_n, 36}));
  EXPECT_FALSE(toy.lowered.program.bootstrapping);
  EXPECT_TRUE(lowering::coefficients_of(toy.plan, 0).empty());
  const auto& step = toy.plan.step;
  const auto& a = toy.plan.arrangement;
  const std::size_t first_absent = static_cast<std::size_t>(batch - (a.groups() - 1) * a.images_per_group()) *
                                   static_cast<std::size_t>(a.positions());
  const std::vector<Example> all = random_examples(static_cast<std::size_t>(batch) * 2, shape.size(), classes);
  std::vector<double> state(toy.ring->n());
  training::Moments wanted = training::no_moments(step);
  for (std::size_t number = 0; number < 2; ++number) {
    std::vector<const Example*> list;
    for (std::size_t i = 0; i < static_cast<std::size_t>(batch); ++i)
      list.push_back(&all[number * static_cast<std::size_t>(batch) + i]);
    const auto out = toy.run(state, list, static_cast<int>(number), [&](std::vector<double>& slots) {
      std::fill(slots.begin() + static_cast<std::ptrdiff_t>(first_absent), slots.end(), garbage);
    });
    ASSERT_EQ(out.size(), 1U);
    EXPECT_EQ(out.front().limbs(), lowering::state_limbs(toy.lowered));
    state = toy.decrypt(out.front());
    wanted = training::added(std::move(wanted), training::moments_of(step, list), 0.5 / batch);
    const training::Moments found = lowering::unpack_moments(step, a, state);
    for (const auto& [mine, clear] : {std::pair{&found.squares, &wanted.squares},
                                      {&found.products, &wanted.products},
                                      {&found.counts, &wanted.counts}}) {
      ASSERT_EQ(mine->size(), clear->size());
      for (std::size_t i = 0; i < mine->size(); ++i) ASSERT_NEAR((*mine)[i], (*clear)[i], 3e-4) << i;
    }
    double squares = 0;
    for (std::size_t i = 0; i < wanted.squares.size(); ++i)
      squares += std::pow(found.squares[i] - wanted.squares[i], 2) / static_cast<double>(wanted.squares.size());
    const double told =
        lowering::error_of_moments(step, a, state, 0.5 * (1.0 + static_cast<double>(number)), 2.0 * batch);
    EXPECT_GT(told, std::sqrt(squares) / 5);
    EXPECT_LT(told, std::sqrt(squares) * 5);
  }
  const auto weights = training::solve(lowering::unpack_moments(step, a, state), spec.ridge),
             clear = training::solve(wanted, spec.ridge);
  ASSERT_TRUE(weights && clear);
  for (std::size_t p = 0; p < weights->size(); ++p) EXPECT_LT(relative_error((*weights)[p], (*clear)[p]), 1e-2);
}

TEST(EncryptedMoments, OfOneCiphertext) { expect_moments({1, 4, 4}, 256); }
TEST(EncryptedMoments, OfTwoCiphertexts) { expect_moments({2, 4, 3}, 256); }
TEST(EncryptedMoments, OfTilesOfOnePixel) { expect_moments({5, 1, 1}, 60); }
TEST(EncryptedMoments, OfPhases) { expect_moments({1, 8, 6}, 512, 0, 13); }
TEST(EncryptedMoments, OfTwoGroups) { expect_moments({2, 3, 4}, 512); }
TEST(EncryptedMoments, ImagesThatAreNotThereCountForNothing) {
  expect_moments({2, 3, 4}, 100, 3);
  expect_moments({1, 4, 4}, 300, 3);
}
// Sums of labels fill nodes of their own, with more limbs than those of images of which some are masked.
TEST(EncryptedMoments, OfManyClassesAndABatchThatIsNotFull) { expect_moments({1, 4, 4}, 100, 3, 12, 40); }

// However large the scale of sums is that are means of so many images.
TEST(EncryptedMoments, HavePlansForMostImages) {
  for (const int classes : {3, 40}) {
    const training::Spec spec = spec_for(3000, (1 << 24) / 3000);
    EXPECT_NO_THROW(
        (void)lowering::compile(training::differentiate(dense_network({1, 8, 8}, classes), spec), spec, {16}));
  }
}

// One feature far beyond all others spoils the encrypted sums; that is known before anything is encrypted.
TEST(EncryptedMoments, ThatWillNotTellTheWeightsAreForeseen) {
  const training::Spec spec = spec_for(256, 1);
  ToyTraining toy(lowering::compile(training::differentiate(dense_network({1, 4, 4}), spec), spec, {12, 36}));
  int refused = 0;
  for (const double size : {1.0, 100.0, 1e3, 1e4, 3e4}) {
    std::vector<Example> all = random_examples(256, 16, 3);
    for (Example& e : all) e.image[3] *= size;
    std::vector<const Example*> batch;
    for (const Example& e : all) batch.push_back(&e);
    const std::vector<double> state = toy.decrypt(toy.run(std::vector<double>(toy.ring->n()), batch, 0).front());
    const double deviation = lowering::error_of_moments(toy.plan.step, toy.plan.arrangement, state, 1, 256);
    const training::Moments sums = lowering::unpack_moments(toy.plan.step, toy.plan.arrangement, state);
    const double error = training::weight_error(sums, spec.ridge, deviation);
    const bool told = error <= lowering::kMostWeightError;
    EXPECT_EQ(lowering::moments_will_tell(toy.plan, all), told) << size << ": " << error;
    refused += told ? 0 : 1;
  }
  EXPECT_GT(refused, 0);
  EXPECT_LT(refused, 4);
}

// Weights of sgd lie elsewhere, beside their velocities.
TEST(EncryptedMoments, NeedNoRoomForVelocities) {
  const training::Spec spec = spec_for(512, 1);
  const auto compiled = [&](int classes) {
    return lowering::compile(training::differentiate(dense_network({2, 4, 4}, classes), spec), spec, {13, 36});
  };
  EXPECT_NO_THROW((void)compiled(140));
  EXPECT_TRUE(refuses([&] { return compiled(200); }, {"32 features and 200 classes", "sgd"}));
}

TEST(EncryptedMoments, RefuseMoreFeaturesThanTheyHaveSlotsFor) {
  const training::Spec spec = spec_for(16, 1);
  EXPECT_TRUE(refuses(
      [&] {
        return lowering::compile(training::differentiate(dense_network({8, 4, 4}), spec), spec, {12, 36});
      },
      {"128 features", "sgd"}));
}

}  // namespace
}  // namespace sotto::test
