// Images into input files and scores out of output files, over a ring without security.
#include "client/batch.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "ckks/ciphertext_file.h"
#include "ckks/encoder.h"
#include "client/results.h"
#include "inputs/encryptor.h"
#include "inputs/slots.h"
#include "plan/client_spec.h"
#include "secret/crypt.h"
#include "support/expect_error.h"
#include "support/files.h"
#include "support/plan_builder.h"
#include "support/toy_parameters.h"

namespace sotto::client {
namespace {

using Values = std::vector<double>;

Keys toy_keys(const plan::ClientSpec& spec) {
  return keys_of(secret::OwnerKey::generate(), ckks::ToyParameters::make(spec.parameters));
}

class Batch : public ::testing::Test {
 protected:
  static std::vector<Values> random_images(std::size_t count) {
    std::vector<Values> images;
    for (std::size_t i = 0; i < count; ++i) images.push_back(test::random_values(128, static_cast<unsigned>(i), 1));
    return images;
  }

  // An output file as a server would write it: score c of image b in slot b T^2, anything in the other slots.
  void write_scores(const std::vector<Values>& scores, const std::string& key_id, const std::string& plan_id) const {
    const ckks::CiphertextFileInfo info{
        plan_id, key_id, "some input", scores.size(), 16, 3, spec.output_level, spec.output_scale, {}};
    ckks::CiphertextWriter file(path, wire::Kind::output, *keys.ring, info);
    for (std::size_t k = 0; k < info.batches() * 3; ++k) {
      Values slots = test::random_values(256, static_cast<unsigned>(k), 3);
      for (std::size_t b = 0; b < 16; ++b)
        if (k / 3 * 16 + b < scores.size()) slots[b * 16] = scores[k / 3 * 16 + b][k % 3];
      const auto message = ckks::encode(*keys.ring, encoder.embed_inverse(std::span<const double>(slots)),
                                        spec.output_scale, spec.output_level);
      file.write(ckks::expand(*keys.ring, secret::encrypt_symmetric(keys.secret, message, ckks::random_seed(), k)));
    }
    file.commit();
  }
  // Three batches of the images, eight ciphertexts each, hold their slots.
  void expect_slots(const ckks::CiphertextReader& file, const std::vector<Values>& images, double tolerance) const {
    for (std::uint64_t k = 0; k < 24; ++k) {
      const auto z = encoder.embed(secret::decrypt(keys.secret, file.read(*keys.ring, k)));
      const std::size_t first = k / 8 * 16;
      const auto part = std::span(images).subspan(first, std::min<std::size_t>(16, images.size() - first));
      const Values expected = inputs::pack_slots(spec, part, static_cast<int>(k % 8) / 2, static_cast<int>(k % 2));
      for (std::size_t j = 0; j < 256; ++j)
        ASSERT_NEAR(z[j].real() / spec.input.scale, expected[j], tolerance) << k << " " << j;
    }
  }
  static std::vector<Values> some_scores(std::size_t count) {
    std::vector<Values> scores;
    for (std::size_t i = 0; i < count; ++i)
      scores.push_back(test::random_values(3, static_cast<unsigned>(i + 500), 20));
    return scores;
  }

  const plan::ClientSpec spec =
      plan::client_part(test::small_plan());  // 2 x 8 x 8, two phases, tile 4, 16 images, 3 scores
  const Keys keys = toy_keys(spec);
  const ckks::Encoder encoder{spec.parameters.log_n, spec.parameters.kind};
  test::TempFolder folder;
  const std::filesystem::path path = folder / "file.sotto";
};

TEST_F(Batch, EveryPixelHasItsSlot) {
  const auto images = random_images(3);
  for (int phase = 0; phase < 4; ++phase)
    for (int c = 0; c < 2; ++c) {
      const Values slots = inputs::pack_slots(spec, images, phase, c);
      ASSERT_EQ(slots.size(), 256u);
      for (int b = 0; b < 16; ++b)
        for (int ty = 0; ty < 4; ++ty)
          for (int tx = 0; tx < 4; ++tx) {
            const int y = 2 * ty + phase / 2, x = 2 * tx + phase % 2;
            EXPECT_EQ(slots[static_cast<std::size_t>(b * 16 + ty * 4 + tx)],
                      images[static_cast<std::size_t>(b % 3)][static_cast<std::size_t>((c * 8 + y) * 8 + x)])
                << "missing images are others once more";
          }
    }
}

TEST_F(Batch, EncryptedImagesDecryptToTheirSlots) {
  const auto images = random_images(35);  // two full batches and a part
  std::size_t calls = 0, last = 0;
  const inputs::InputName name = encrypt_images(spec, keys, images, path, [&](std::size_t done, std::size_t total) {
    EXPECT_EQ(total, 24u);
    ++calls, last = done;
  });
  EXPECT_EQ(calls, 25u);
  EXPECT_EQ(last, 24u);
  const ckks::CiphertextReader file(path, wire::Kind::input);
  EXPECT_EQ(file.info().images, 35u);
  EXPECT_EQ(file.info().batches(), 3u);
  EXPECT_EQ(file.info().input_id, name.id);
  EXPECT_EQ(file.digest(), name.digest);
  EXPECT_EQ(file.signer(), keys.signing.verification_key());
  EXPECT_EQ(file.info().key_id, keys.secret.id());
  EXPECT_NO_THROW(file.expect(spec.plan_id, 16, 8, spec.input.level.limbs, spec.input.scale, *keys.ring));
  expect_slots(file, images, 1e-4);
}

TEST_F(Batch, OthersEncryptTheSameSlots) {
  const auto images = random_images(35);
  write_public_key(spec, keys, folder / "public.key");
  const inputs::Encryptor encryptor(spec, keys.parameters, folder / "public.key");
  EXPECT_EQ(encryptor.key_id(), keys.secret.id());
  const std::string id = encryptor.encrypt(images, path, {}).id;
  EXPECT_EQ(id.size(), 32u);
  EXPECT_NE(id, encryptor.encrypt(images, folder / "other", {}).id);
  const ckks::CiphertextReader file(path, wire::Kind::input);
  EXPECT_EQ(file.info().input_id, id);
  EXPECT_EQ(file.info().images, 35u);
  EXPECT_EQ(file.info().key_id, keys.secret.id());
  EXPECT_FALSE(file.info().seed);
  EXPECT_FALSE(file.signer());
  EXPECT_NO_THROW(file.expect(spec.plan_id, 16, 8, spec.input.level.limbs, spec.input.scale, *keys.ring));
  expect_slots(file, images, 1e-3);
}

TEST_F(Batch, EveryEncryptionIsFresh) {
  const auto images = random_images(1);
  const std::string first = encrypt_images(spec, keys, images, path, {}).id,
                    second = encrypt_images(spec, keys, images, folder / "other", {}).id;
  EXPECT_NE(first, second);
  EXPECT_EQ(first.size(), 32u) << "the form that input records take";
  EXPECT_NE(test::read_bytes(path), test::read_bytes(folder / "other"));
}

TEST_F(Batch, ScoresComeBackInTheOrderOfTheImages) {
  const auto scores = some_scores(35);
  write_scores(scores, keys.secret.id(), spec.plan_id);
  const Decrypted result = decrypt_scores(spec, keys, path, {}, {});
  EXPECT_EQ(result.file.input_id, "some input");
  ASSERT_EQ(result.scores.size(), 35u);
  for (std::size_t i = 0; i < 35; ++i)
    for (std::size_t c = 0; c < 3; ++c) EXPECT_NEAR(result.scores[i][c], scores[i][c], 1e-5) << i << " " << c;
}

TEST_F(Batch, FloodingAddsNoiseOfTheWidthAskedFor) {
  const auto scores = some_scores(640);
  write_scores(scores, keys.secret.id(), spec.plan_id);
  const auto flooded = decrypt_scores(spec, keys, path, {.flood = 0.25}, {}).scores;
  double sum = 0, squares = 0;
  for (std::size_t i = 0; i < 640; ++i)
    for (std::size_t c = 0; c < 3; ++c) {
      const double d = flooded[i][c] - scores[i][c];
      sum += d, squares += d * d;
    }
  // 1920 samples: six standard errors of mean and deviation.
  EXPECT_NEAR(sum / 1920, 0, 6 * 0.25 / std::sqrt(1920));
  EXPECT_NEAR(std::sqrt(squares / 1920), 0.25, 6 * 0.25 / std::sqrt(2 * 1920));
}

TEST_F(Batch, ScoresOfOthers) {
  const auto decrypt = [&] { (void)decrypt_scores(spec, keys, path, {}, {}); };
  write_scores(some_scores(1), std::string(32, '0'), spec.plan_id);
  EXPECT_TRUE(test::fails_with(decrypt, ErrorCode::wrong_key, {path.string(), "another key"}));
  write_scores(some_scores(1), keys.secret.id(), std::string(32, '0'));
  EXPECT_TRUE(test::fails_with(decrypt, ErrorCode::wrong_key, {path.string(), "another plan"}));
  // Another key that claims to be ours: the coefficients fill the modulus.
  const Keys others = toy_keys(spec);
  write_scores(some_scores(1), others.secret.id(), spec.plan_id);
  EXPECT_TRUE(test::fails_with([&] { (void)decrypt_scores(spec, keys, path, {}, {}); }, ErrorCode::wrong_key));
  EXPECT_TRUE(
      test::fails_with([&] { (void)decrypt_scores(spec, others, path, {}, {}); }, ErrorCode::wrong_key, {"decrypt"}));
  // Neither kind of ciphertexts takes the other's place.
  const auto encrypt = [&] { encrypt_images(spec, keys, random_images(1), path, {}); };
  EXPECT_TRUE(test::refuses(encrypt, {path.string(), "encrypted output"}));
  std::filesystem::remove(path);
  encrypt();
  EXPECT_TRUE(test::refuses(decrypt, {"encrypted input"}));
}

}  // namespace
}  // namespace sotto::client
