// Which results of an output file are marked, and that one lost batch loses no other. Over a ring without security.
#include "client/results.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "ckks/ciphertext_file.h"
#include "ckks/encoder.h"
#include "secret/crypt.h"
#include "support/expect_error.h"
#include "support/files.h"
#include "support/plan_builder.h"
#include "support/toy_parameters.h"

namespace sotto::client {
namespace {

using Values = std::vector<double>;

constexpr std::size_t kImages = 40, kBatch = 16, kClasses = 3, kInput = 3, kInner = 4;  // two batches and a half

class Results : public ::testing::Test {
 protected:
  Results() {
    spec.watch.probes = {{1, 0x1p22, 10, {1, 4, 4, 1}}, {2, 0x1p40, 50, {1, 2, 2, 1}}};
    spec.watch.score_bound = 30;
    for (const plan::ProbeView& p : spec.watch.probes) info.probes.push_back({p.limbs, p.scale});
    for (std::size_t b = 0; b < 3; ++b)
      for (std::size_t k = 0; k < 5; ++k)
        slots.push_back(test::random_values(256, static_cast<unsigned>(5 * b + k), 3));
  }

  // Value of an image in ciphertext `within` of its batch.
  double& value(std::size_t image, std::size_t within, std::size_t position = 0) {
    return slots[image / kBatch * 5 + within][image % kBatch * 16 + position];
  }
  void write() {
    ckks::CiphertextWriter file(path, wire::Kind::output, *keys.ring, info);
    for (std::size_t k = 0; k < slots.size(); ++k) {
      const ckks::CiphertextShape shape = info.shape(k);
      const auto message =
          ckks::encode(*keys.ring, encoder.embed_inverse(std::span<const double>(slots[k])), shape.scale, shape.level);
      const auto& key = foreign.contains(k) ? others.secret : keys.secret;
      file.write(ckks::expand(*keys.ring, secret::encrypt_symmetric(key, message, ckks::random_seed(), k)));
    }
    file.commit();
  }
  Decrypted decrypt() {
    write();
    return decrypt_scores(spec, keys, path, {}, {});
  }
  static Keys toy_keys(const plan::ClientSpec& spec) {
    return keys_of(secret::OwnerKey::generate(), ckks::ToyParameters::make(spec.parameters));
  }
  // Images with a mark, except those of a batch.
  static std::vector<std::size_t> others_than(std::size_t batch, const Decrypted& r) {
    std::vector<std::size_t> list;
    for (std::size_t i : doubtful(r.doubts))
      if (i / kBatch != batch) list.push_back(i);
    return list;
  }

  plan::ClientSpec spec = plan::client_part(test::small_plan());  // tile 4, 16 images, 3 scores
  const Keys keys = toy_keys(spec), others = toy_keys(spec);
  const ckks::Encoder encoder{spec.parameters.log_n, spec.parameters.kind};
  ckks::CiphertextFileInfo info{spec.plan_id, keys.secret.id(),  "input",           kImages, kBatch,
                                kClasses,     spec.output_level, spec.output_scale, {}};
  std::vector<Values> slots;  // by ciphertext
  std::set<std::size_t> foreign;
  test::TempFolder folder;
  const std::filesystem::path path = folder / "out.sotto";
};

TEST_F(Results, OrdinaryOnesHaveNoMark) {
  const Decrypted r = decrypt();
  ASSERT_EQ(r.scores.size(), kImages);
  EXPECT_TRUE(doubtful(r.doubts).empty());
  EXPECT_EQ(r.batch, kBatch);
  EXPECT_EQ(summary_of(r.doubts, r.batch), "");
  for (std::size_t i = 0; i < kImages; ++i)
    for (std::size_t c = 0; c < kClasses; ++c) EXPECT_NEAR(r.scores[i][c], value(i, c), 1e-4);
}

TEST_F(Results, AnImageThatLeftItsRangeAndThoseBesideIt) {
  value(20, kInner, 5) = -51;
  const Decrypted r = decrypt();
  EXPECT_EQ(r.doubts[20], Doubt::range);
  EXPECT_EQ(r.doubts[19], Doubt::neighbour);
  EXPECT_EQ(r.doubts[21], Doubt::neighbour);
  EXPECT_EQ(doubtful(r.doubts), (std::vector<std::size_t>{19, 20, 21}));
  EXPECT_NEAR(r.scores[20][1], value(20, 1), 1e-4) << "its scores are there";
  EXPECT_EQ(summary_of(r.doubts, r.batch),
            "3 of 40 results are doubtful: images 19 to 21 (batch 1): 1 left the range, 2 a neighbour left the range");
}

TEST_F(Results, TheLastSlotsAreNextToTheFirst) {
  value(16, kInner) = 51;
  EXPECT_EQ(doubtful(decrypt().doubts), (std::vector<std::size_t>{16, 17, 31}));
}

TEST_F(Results, SlotsThatNobodyWatches) {
  value(20, kInner, 2) = 1e4;  // a third column
  value(20, kInner, 8) = 1e4;  // a third row
  EXPECT_TRUE(doubtful(decrypt().doubts).empty());
}

TEST_F(Results, TheFurtherBeyondTheFurtherItReaches) {
  value(8, kInner) = 50 * 600.0;  // 2^9.2 times: 2^15.9 times what may pass, two masks
  EXPECT_EQ(doubtful(decrypt().doubts), (std::vector<std::size_t>{6, 7, 8, 9, 10}));
  spec.watch.reach = 2;
  EXPECT_EQ(doubtful(decrypt().doubts).size(), 9u);
}

TEST_F(Results, ScoresBeyondTheirBound) {
  value(3, 1) = -31;
  const Decrypted r = decrypt();
  EXPECT_EQ(r.doubts[3], Doubt::score);
  EXPECT_EQ(doubtful(r.doubts), (std::vector<std::size_t>{2, 3, 4}));
  spec.watch.score_bound = 0;
  EXPECT_TRUE(doubtful(decrypt().doubts).empty()) << "no bound is known";
}

TEST_F(Results, ScoresThatLieTooCloseForTheirErrors) {
  for (std::size_t c = 0; c < kClasses; ++c) value(5, c) = 1 + 0.01 * static_cast<double>(c);
  EXPECT_TRUE(doubtful(decrypt().doubts).empty()) << "no error is known";
  spec.watch.score_error = 0.01;
  spec.watch.agreement = 0.999;
  const Decrypted r = decrypt();
  EXPECT_EQ(r.doubts[5], Doubt::error);
  EXPECT_EQ(doubtful(r.doubts), std::vector<std::size_t>{5}) << "neighbours are not concerned";
  EXPECT_THAT(summary_of(r.doubts, 100), ::testing::HasSubstr("1 best scores too close"));
  EXPECT_THAT(summary_of(r.doubts, 100), ::testing::HasSubstr("calibrated on images like these"));
}

TEST_F(Results, AProbeFarBeyondItsBoundSpoilsTheBatch) {
  value(20, kInner) = 50 * 0x1p21;
  const Decrypted r = decrypt();
  EXPECT_TRUE(others_than(1, r).empty());
  for (std::size_t i = 16; i < 32; ++i) {
    EXPECT_EQ(r.doubts[i], i == 20 ? Doubt::range : Doubt::spoiled) << i;
    EXPECT_TRUE(std::isnan(r.scores[i][0])) << i;
  }
  EXPECT_NEAR(r.scores[15][2], value(15, 2), 1e-4);
}

TEST_F(Results, CiphertextsThatDoNotDecryptLoseTheirBatchOnly) {
  for (const std::size_t within : {std::size_t{1}, kInner}) {
    foreign = {5 + within};
    const Decrypted r = decrypt();
    EXPECT_TRUE(others_than(1, r).empty());
    for (std::size_t i = 16; i < 32; ++i) EXPECT_EQ(r.doubts[i], Doubt::spoiled) << i;
    EXPECT_TRUE(std::isnan(r.scores[16][0]));
    EXPECT_NEAR(r.scores[39][2], value(39, 2), 1e-4);
  }
  // Even if there is no other: the input shows that the key is right.
  foreign = {0, 1, 2, 5, 6, 7, 10, 11, 12};
  EXPECT_EQ(doubtful(decrypt().doubts).size(), kImages);
}

TEST_F(Results, AnotherKeyIsNamed) {
  for (std::size_t k = 0; k < slots.size(); ++k) foreign.insert(k);
  EXPECT_TRUE(test::fails_with([&] { (void)decrypt(); }, ErrorCode::wrong_key, {path.string(), "another key"}));
  foreign.erase(5 + kInput);  // the input of one batch
  const Decrypted r = decrypt();
  EXPECT_EQ(r.doubts[0], Doubt::damaged);
  EXPECT_EQ(r.doubts[16], Doubt::spoiled);
}

TEST_F(Results, DamageLosesItsBatchOnly) {
  write();
  test::Bytes bytes = test::read_bytes(path);
  bytes[bytes.size() - 40] ^= 1;  // the last ciphertext
  test::write_bytes(path, bytes);
  const Decrypted r = decrypt_scores(spec, keys, path, {}, {});
  EXPECT_TRUE(others_than(2, r).empty());
  for (std::size_t i = 32; i < 40; ++i) EXPECT_EQ(r.doubts[i], Doubt::damaged);
  EXPECT_EQ(r.doubts.size(), kImages);
  EXPECT_NEAR(r.scores[31][0], value(31, 0), 1e-4);
}

TEST_F(Results, NothingToReadIsAnError) {
  info.images = 10;
  slots.resize(5);
  write();
  test::Bytes bytes = test::read_bytes(path);
  bytes[bytes.size() - 40] ^= 1;
  test::write_bytes(path, bytes);
  EXPECT_TRUE(test::refuses([&] { (void)decrypt_scores(spec, keys, path, {}, {}); }, {path.string(), "corrupted"}));
}

TEST_F(Results, ProbesOfAnotherShapeAreRefused) {
  write();
  spec.watch.probes[1].limbs = 1;
  EXPECT_TRUE(test::refuses([&] { (void)decrypt_scores(spec, keys, path, {}, {}); }, {path.string(), "shape"}));
  spec.watch.probes.pop_back();
  EXPECT_TRUE(test::refuses([&] { (void)decrypt_scores(spec, keys, path, {}, {}); }, {path.string(), "shape"}));
}

}  // namespace
}  // namespace sotto::client
