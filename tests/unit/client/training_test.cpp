// What the owner asks of the results of a training. Over a ring without security; what they hold does not matter.
#include "client/training.h"

#include <gtest/gtest.h>

#include "lowering/features.h"
#include "lowering/files.h"
#include "lowering/step_bootstrap.h"
#include "support/expect_error.h"
#include "support/files.h"
#include "support/network_builder.h"
#include "support/toy_parameters.h"
#include "training/differentiate.h"

namespace sotto::client {
namespace {

constexpr int kLogN = 11, kBatch = 100;

// Two steps of a dense layer behind layers that run once for every image.
lowering::TrainingPlan plan_with_body() {
  test::NetworkBuilder b({2, 3, 4}, 5);
  b.dense(b.flatten(0), 3);
  training::Spec spec;
  spec.batch = kBatch;
  spec.steps = 2;
  lowering::Body body;
  body.range = 4;
  body.client.tile = 4;
  body.client.io.outputs = 24;
  body.client.output_level = lowering::feature_limbs(kLogN);
  body.client.output_scale = 0x1p34;
  body.client.parameters = {.log_n = kLogN, .ciphertext_primes = 2, .special_primes = 1};
  lowering::TrainingPlan plan =
      lowering::compile(training::differentiate(b.network, spec), spec, {kLogN, 36}, std::move(body));
  plan.id = std::string(32, 'a');
  return plan;
}

class TrainingResults : public testing::Test {
 protected:
  // Zeros, with the features of so many batches.
  void write(std::uint64_t batches) const {
    ckks::CiphertextFileInfo info = lowering::output_info(plan, lowering::lower(plan), "input", batches);
    info.key_id = keys.secret.id();
    ckks::CiphertextWriter file(path, wire::Kind::output, *keys.ring, info);
    for (std::uint64_t k = 0; k < info.sections(); ++k) {
      ckks::Ciphertext c;
      c.scale = info.shape(k).scale;
      for (ring::RnsPoly* p : {&c.c0, &c.c1})
        for (int l = 0; l < info.shape(k).level.limbs; ++l)
          std::fill_n(p->emplace_back(keys.ring->limb()).data(), keys.ring->n(), 0);
      file.write(c);
    }
    file.commit();
  }
  DecryptedTraining decrypt(std::optional<std::uint64_t> images) const {
    return decrypt_training(plan, keys, path, {}, {.images = images});
  }

  const lowering::TrainingPlan plan = plan_with_body();
  const Keys keys = keys_of(secret::OwnerKey::generate(), ckks::ToyParameters::make(plan.parameters));
  test::TempFolder folder;
  const std::filesystem::path path = folder / "out.sotto";
};

TEST_F(TrainingResults, HaveTheFeaturesOfAllImages) {
  write(2);
  EXPECT_EQ(decrypt(2 * kBatch).states.size(), 2U);
  EXPECT_EQ(decrypt(2 * kBatch + 30).states.size(), 2U);  // these were left over
  EXPECT_EQ(decrypt(std::nullopt).states.size(), 2U);
  EXPECT_TRUE(test::refuses([&] { return decrypt(3 * kBatch); }, {"features of 2 of 3 batches"}));
  write(1);
  EXPECT_TRUE(test::refuses([&] { return decrypt(2 * kBatch); }, {"features of 1 of 2 batches"}));
}

}  // namespace
}  // namespace sotto::client
