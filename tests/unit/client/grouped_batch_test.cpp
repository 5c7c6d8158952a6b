// Images into ciphertexts of several channels, and scores out of them.
#include <gtest/gtest.h>

#include "ckks/ciphertext_file.h"
#include "ckks/encoder.h"
#include "client/batch.h"
#include "client/results.h"
#include "inputs/slots.h"
#include "plan/client_spec.h"
#include "plan/schedule.h"
#include "secret/crypt.h"
#include "support/files.h"
#include "support/plan_builder.h"
#include "support/toy_parameters.h"

namespace sotto::client {
namespace {

using Values = std::vector<double>;

class GroupedBatch : public ::testing::Test {
 protected:
  static Keys toy_keys(const plan::ClientSpec& spec) {
    return keys_of(secret::OwnerKey::generate(), ckks::ToyParameters::make(spec.parameters));
  }
  static std::vector<Values> random_images(std::size_t count) {
    std::vector<Values> images;
    for (std::size_t i = 0; i < count; ++i) images.push_back(test::random_values(192, static_cast<unsigned>(i), 1));
    return images;
  }

  // 3 x 8 x 8, two phases, tile 4, four places, 4 images, 9 scores in three blocks.
  const plan::ClientSpec spec = plan::client_part(test::small_grouped_plan());
  test::TempFolder folder;
  const std::filesystem::path path = folder / "file.sotto";
};

TEST_F(GroupedBatch, EveryPixelHasItsSlots) {
  const auto images = random_images(3);
  for (int phase = 0; phase < 4; ++phase) {
    const Values slots = inputs::pack_slots(spec, images, phase, 0);
    ASSERT_EQ(slots.size(), 256u);
    for (int slot = 0; slot < 256; ++slot) {
      const int b = slot / 64, channel = slot / 16 % 4, y = 2 * (slot / 4 % 4) + phase / 2,
                x = 2 * (slot % 4) + phase % 2;
      const double expected =
          channel < 3 ? images[static_cast<std::size_t>(b % 3)][static_cast<std::size_t>((channel * 8 + y) * 8 + x)]
                      : 0;
      EXPECT_EQ(slots[static_cast<std::size_t>(slot)], expected) << phase << " " << slot;
    }
  }
}

// The picture and the page docs/packing.md.
TEST_F(GroupedBatch, PixelsLieAsInThePicture) {
  plan::ClientSpec s = spec;
  s.tile = 4;
  s.parameters.log_n = 6;
  s.batch = 2;
  s.input.layout = {3, 8, 8, 2, 1, 2};
  ASSERT_EQ(s.input.layout.blocks(), 2);
  const auto images = random_images(2);
  const Values first = inputs::pack_slots(s, images, 2, 0), second = inputs::pack_slots(s, images, 2, 1);
  EXPECT_EQ(first[57], images[1][(1 * 8 + 5) * 8 + 2]);
  EXPECT_EQ(second[32], images[1][(2 * 8 + 1) * 8 + 0]);
  EXPECT_EQ(second[16], 0);
  const plan::Layout stride = {1, 4, 4, 1, 1, 2}, another = {1, 2, 2, 1, 2, 2};
  EXPECT_EQ(plan::place_of(stride, 4, 2, 3).position, 11);
  EXPECT_EQ(plan::place_of(another, 4, 1, 1).position, 10);
}

TEST_F(GroupedBatch, FewChannelsRepeatAndManyTakeBlocks) {
  // One pixel per place: slot b * 8 + s.
  for (const auto& [channels, places] : {std::pair(1, std::vector{0, 0, 0, 0, 0, 0, 0, 0}),
                                         {2, {0, 1, 0, 1, 0, 1, 0, 1}},
                                         {3, {0, 1, 2, -1, 0, 1, 2, -1}},
                                         {6, {0, 1, 2, 3, 4, 5, -1, -1}},
                                         {11, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, -1, -1, -1, -1, -1}}}) {
    plan::ClientSpec s = spec;
    s.tile = 1;
    s.parameters.log_n = 4;
    s.batch = 2;
    s.input.layout = {channels, 1, 1, 1, 1, 8};
    const std::vector<Values> images = {test::random_values(static_cast<std::size_t>(channels), 1, 1),
                                        test::random_values(static_cast<std::size_t>(channels), 2, 1)};
    for (std::size_t block = 0; block < places.size() / 8; ++block) {
      const Values slots = inputs::pack_slots(s, images, 0, static_cast<int>(block));
      ASSERT_EQ(slots.size(), 16u);
      for (std::size_t k = 0; k < 16; ++k) {
        const int channel = places[block * 8 + k % 8];
        EXPECT_EQ(slots[k], channel < 0 ? 0 : images[k / 8][static_cast<std::size_t>(channel)]) << channels << " " << k;
      }
    }
  }
}

TEST_F(GroupedBatch, EncryptedImagesDecryptToTheirSlots) {
  plan::ClientSpec s = spec;
  s.input.layout.channels = 6;  // two blocks
  const Keys keys = toy_keys(s);
  const ckks::Encoder encoder(s.parameters.log_n, s.parameters.kind);
  std::vector<Values> images;
  for (unsigned i = 0; i < 5; ++i) images.push_back(test::random_values(6 * 64, i, 1));
  encrypt_images(s, keys, images, path, {});
  const ckks::CiphertextReader file(path, wire::Kind::input);
  EXPECT_NO_THROW(file.expect(s.plan_id, 4, 8, s.input.level.limbs, s.input.scale, *keys.ring));
  EXPECT_EQ(file.info().batches(), 2u);
  for (std::uint64_t k = 0; k < 16; ++k) {
    const auto z = encoder.embed(secret::decrypt(keys.secret, file.read(*keys.ring, k)));
    const auto part = k < 8 ? std::span(images).first(4) : std::span(images).subspan(4);
    const Values expected = inputs::pack_slots(s, part, static_cast<int>(k % 8) / 2, static_cast<int>(k % 2));
    for (std::size_t j = 0; j < 256; ++j) ASSERT_NEAR(z[j].real() / s.input.scale, expected[j], 1e-4) << k << " " << j;
  }
}

TEST_F(GroupedBatch, ScoresComeBackInTheOrderOfImagesAndClasses) {
  const Keys keys = toy_keys(spec);
  const ckks::Encoder encoder(spec.parameters.log_n, spec.parameters.kind);
  const std::size_t count = 6;  // one full batch and a part
  const ckks::CiphertextFileInfo info{
      spec.plan_id, keys.secret.id(), "some input", count, 4, 3, spec.output_level, spec.output_scale, {}};
  const auto score = [](std::size_t image, std::size_t c) { return static_cast<double>(10 * image + c) - 20; };
  {
    ckks::CiphertextWriter file(path, wire::Kind::output, *keys.ring, info);
    for (std::size_t k = 0; k < 6; ++k) {
      Values slots = test::random_values(256, static_cast<unsigned>(k), 3);  // what lies beside the scores
      for (std::size_t b = 0; b < 4; ++b)
        for (std::size_t s = 0; s < 4; ++s)
          if (k % 3 * 4 + s < 9) slots[b * 64 + s * 16] = score(k / 3 * 4 + b, k % 3 * 4 + s);
      const auto message = ckks::encode(*keys.ring, encoder.embed_inverse(std::span<const double>(slots)),
                                        spec.output_scale, spec.output_level);
      file.write(ckks::expand(*keys.ring, secret::encrypt_symmetric(keys.secret, message, ckks::random_seed(), k)));
    }
    file.commit();
  }
  const auto scores = decrypt_scores(spec, keys, path, {}, {}).scores;
  ASSERT_EQ(scores.size(), count);
  for (std::size_t i = 0; i < count; ++i) {
    ASSERT_EQ(scores[i].size(), 9u);
    for (std::size_t c = 0; c < 9; ++c) EXPECT_NEAR(scores[i][c], score(i, c), 1e-4) << i << " " << c;
  }
}

}  // namespace
}  // namespace sotto::client
