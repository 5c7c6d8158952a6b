// Results that may be given away: their noise, that there is one release of a ciphertext, and what is withheld.
#include "client/publish.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <thread>

#include "ckks/ciphertext_file.h"
#include "ckks/encoder.h"
#include "client/releases.h"
#include "secret/crypt.h"
#include "support/expect_error.h"
#include "support/files.h"
#include "support/plan_builder.h"
#include "support/toy_parameters.h"

namespace sotto::client {
namespace {

using Values = std::vector<double>;

constexpr double kError = 0.01;

class Publish : public ::testing::Test {
 protected:
  Publish() { spec.watch.score_error = kError; }

  static Keys keys_for(const plan::ClientSpec& spec, const secret::OwnerKey& owner) {
    return keys_of(owner, ckks::ToyParameters::make(spec.parameters));
  }
  static std::vector<Values> some_scores(std::size_t count) {
    std::vector<Values> scores;
    for (std::size_t i = 0; i < count; ++i)
      scores.push_back(test::random_values(3, static_cast<unsigned>(i + 500), 20));
    return scores;
  }
  // An output file of these scores, with fresh ciphertexts.
  void write(const std::vector<Values>& given, const std::string& name = "out") const {
    const auto info = info_for(given.size());
    ckks::CiphertextWriter file(folder / name, wire::Kind::output, *keys.ring, info);
    for (std::size_t k = 0; k < info.batches() * 3; ++k) {
      Values slots(256);
      for (std::size_t b = 0; b < 16 && k / 3 * 16 + b < given.size(); ++b)
        slots[b * 16] = given[k / 3 * 16 + b][k % 3];
      const auto message = ckks::encode(*keys.ring, encoder.embed_inverse(std::span<const double>(slots)),
                                        spec.output_scale, spec.output_level);
      file.write(ckks::expand(*keys.ring, secret::encrypt_symmetric(keys.secret, message, ckks::random_seed(), k)));
    }
    file.commit();
  }
  // A file of two batches that are ciphertexts 3 a .. and 3 b .. of another one.
  void recombine(const std::string& from, std::size_t a, std::size_t b, const std::string& to) const {
    const ckks::CiphertextReader source(folder / from, wire::Kind::output);
    ckks::CiphertextWriter file(folder / to, wire::Kind::output, *keys.ring, info_for(32));
    for (const std::size_t batch : {a, b})
      for (std::size_t k = 0; k < 3; ++k) file.write(source.read(*keys.ring, 3 * batch + k));
    file.commit();
  }
  [[nodiscard]] ckks::CiphertextFileInfo info_for(std::size_t images) const {
    return {spec.plan_id, keys.secret.id(), "some input", images, 16, 3, spec.output_level, spec.output_scale, {}};
  }
  [[nodiscard]] Publication publish(const PublishOptions& options, const std::string& name = "out",
                                    const std::string& dir = "keys") const {
    return publish_results(spec, owner, keys, folder / dir, folder / name, options, {});
  }
  [[nodiscard]] bool refused(const PublishOptions& options, std::initializer_list<std::string_view> words,
                             const std::string& name = "out") const {
    return static_cast<bool>(test::fails_with([&] { (void)publish(options, name); }, ErrorCode::usage, words));
  }

  plan::ClientSpec spec = plan::client_part(test::small_plan());  // tile 4, 16 images a batch, 3 scores
  const secret::OwnerKey owner = secret::OwnerKey::generate();
  const Keys keys = keys_for(spec, owner);
  const ckks::Encoder encoder{spec.parameters.log_n, spec.parameters.kind};
  test::TempFolder folder;
  const PublishOptions labels{Published::labels, {}}, scores{Published::scores, {}};
};

TEST_F(Publish, ScoresHaveTheNoiseThatTheyAreSaidToHave) {
  const auto exact = some_scores(640);
  write(exact);
  const Publication p = publish(scores);
  EXPECT_EQ(p.noise.text, noise_of_scores(kError, 640, 3, {}).text);
  double sum = 0, squares = 0, neighbours = 0, last = 0;
  for (std::size_t i = 0; i < 640; ++i)
    for (std::size_t c = 0; c < 3; ++c) {
      const double d = p.scores[i][c] - exact[i][c];
      sum += d, squares += d * d, neighbours += d * last, last = d;
      EXPECT_EQ(std::remainder(p.scores[i][c], p.noise.step), 0) << "rounded";
    }
  // 1920 samples: six standard errors of mean, deviation (rounding adds step^2 / 12) and correlation.
  const double deviation = std::hypot(p.noise.deviation, p.noise.step / std::sqrt(12));
  EXPECT_NEAR(sum / 1920, 0, 6 * deviation / std::sqrt(1920));
  EXPECT_NEAR(std::sqrt(squares / 1920), deviation, 6 * deviation / std::sqrt(2 * 1920));
  EXPECT_NEAR(neighbours / squares, 0, 6 / std::sqrt(1920));
  EXPECT_GE(p.key_bits, 100);
}

TEST_F(Publish, TheSameRequestGivesTheSameAgain) {
  write(some_scores(20));
  const Publication first = publish(scores), second = publish(scores);
  EXPECT_FALSE(first.again);
  EXPECT_TRUE(second.again);
  EXPECT_EQ(first.scores, second.scores);
  EXPECT_EQ(first.key_bits, second.key_bits) << "it tells nothing more";
  // Also where the record is lost: nothing to average over.
  EXPECT_EQ(first.scores, publish(scores, "out", "restored").scores);
}

TEST_F(Publish, AnotherRequestForTheSameCiphertextsIsRefused) {
  write(some_scores(20));
  (void)publish(labels);
  EXPECT_TRUE(refused(scores, {"published before", "labels"}));
  EXPECT_TRUE(refused({Published::labels, {.key_bits = 90}}, {"published before"}));
  EXPECT_TRUE(publish(labels).again);
}

TEST_F(Publish, CiphertextsInAnotherFileAreKnown) {
  write(some_scores(32));
  const PublishOptions two{Published::scores, {.releases = 10}};
  (void)publish(two);
  recombine("out", 1, 0, "turned");
  EXPECT_TRUE(refused(two, {"published before"}, "turned"));
  write(some_scores(32), "fresh");
  (void)publish(two, "fresh");
  recombine("fresh", 0, 0, "twice");
  EXPECT_TRUE(test::refuses([&] { (void)publish(two, "twice"); }, {"a ciphertext twice"}));
}

TEST_F(Publish, ReleasesUnderOneKeyAddUp) {
  for (const auto& request : {PublishOptions{Published::labels, {.releases = 3}},
                              PublishOptions{Published::scores, {.statistical_bits = 20, .releases = 3}}}) {
    const std::string dir = name_of(request.what);
    double before = HUGE_VAL;
    for (const char* name : {"a", "b", "c"}) {
      write(some_scores(16), name);
      const Publication p = publish(request, name, dir);
      EXPECT_TRUE(request.target.met_by(p.noise.divergence));
      EXPECT_LT(p.key_bits, before);
      before = p.key_bits;
    }
    write(some_scores(16), "d");
    EXPECT_TRUE(test::fails_with([&] { (void)publish(request, "d", dir); }, ErrorCode::usage, {"under this key"}));
    // Another key has spent nothing.
    const secret::OwnerKey other = secret::OwnerKey::generate();
    Release r{other.id(), "scores", "1", {"c"}, {}};
    EXPECT_EQ(remember_release(folder / dir, r, {}).together, Divergence{});
  }
}

TEST_F(Publish, LabelsLeadByTheMargin) {
  const Noise noise = noise_of_labels(kError, 40, 3, {});
  std::vector<Values> given;
  for (std::size_t i = 0; i < 40; ++i) {
    Values row(3, 1.0);
    row[i % 3] += i < 20 ? 3 * noise.margin : 0.01 * noise.margin;
    given.push_back(row);
  }
  write(given);
  const Publication p = publish(labels);
  EXPECT_TRUE(p.scores.empty());
  // A lead of 3 margins is 8 deviations above: a chance of 1e-15. One of a hundredth is almost 4 below: 4e-5 by class,
  // and 1e-10 for four images.
  for (std::size_t i = 0; i < 20; ++i) EXPECT_EQ(p.labels[i], static_cast<int>(i % 3)) << i;
  EXPECT_GE(p.withheld(), 17u);
  EXPECT_LE(p.withheld(), 20u);
}

TEST_F(Publish, LabelsAreDecidedWithNoise) {
  // With a lead of exactly the margin, the noise alone decides: 640 draws, six standard errors.
  const Noise noise = noise_of_labels(kError, 640, 3, {});
  std::vector<Values> given(640, Values(3, 0.0));
  for (Values& row : given) row[1] = noise.margin;
  write(given);
  const Publication p = publish(labels);
  EXPECT_NEAR(static_cast<double>(p.withheld()), 320, 6 * std::sqrt(160));
  EXPECT_EQ(std::ranges::count(p.labels, 1), 640 - static_cast<std::ptrdiff_t>(p.withheld()));
}

TEST_F(Publish, LabelsOfFloodedScoresLeadToo) {
  const double margin = noise_of_scores(kError, 32, 3, {}).margin;
  std::vector<Values> given(32, Values(3, 0.0));
  for (std::size_t i = 0; i < 16; ++i) given[i][2] = 3 * margin;
  write(given);
  const Publication p = publish(scores);
  for (std::size_t i = 0; i < 16; ++i) EXPECT_EQ(p.labels[i], 2) << i;
  EXPECT_GE(std::ranges::count(p.labels, -1), 13);  // equal scores, as above
  EXPECT_EQ(p.withheld(), 0u) << "all scores are there";
}

TEST_F(Publish, ImagesThatLeftTheRangeAreWithheld) {
  spec.watch.score_bound = 50;
  auto given = some_scores(16);
  given[3][0] = 100;
  write(given);
  const Publication p = publish(scores);
  EXPECT_EQ(p.doubts[3], Doubt::score);
  EXPECT_EQ(p.labels[3], -1);
  for (double s : p.scores[3]) EXPECT_TRUE(std::isnan(s));
  EXPECT_FALSE(std::isnan(p.scores[15][0]));
}

TEST_F(Publish, PlansWithoutAPredictionPublishNothing) {
  write(some_scores(1));
  for (const double error : {0.0, 1e300}) {
    spec.watch.score_error = error;
    EXPECT_TRUE(test::refuses([&] { (void)publish(scores); }, {"how much its scores err"}));
    EXPECT_TRUE(test::refuses([&] { (void)publish(labels); }, {"how much its scores err"}));
  }
}

TEST_F(Publish, TheRecordIsPrivateAndMustBeWhole) {
  write(some_scores(1));
  (void)publish(labels);
  struct stat status {};
  ASSERT_EQ(::stat((folder / "keys/releases").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700u);
  const std::filesystem::path record = std::filesystem::directory_iterator(folder / "keys/releases")->path();
  ASSERT_EQ(::stat(record.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  const std::string text = test::read_text(record);
  auto emptied = nlohmann::json::parse(text);
  emptied["ciphertexts"] = nlohmann::json::array();
  // Of another key it would not count, and with less divergence more could be published.
  auto of_another = nlohmann::json::parse(text), cheaper = of_another;
  std::string key = of_another["key_id"];
  key[0] = key[0] == 'f' ? '0' : 'f';
  of_another["key_id"] = key;
  cheaper["divergence"][3] = 0.0;
  for (const std::string& damaged : {text.substr(0, text.size() / 2), std::string("{}"), std::string(), emptied.dump(),
                                     of_another.dump(), cheaper.dump()}) {
    test::write_text(record, damaged);
    EXPECT_TRUE(test::refuses([&] { (void)publish(labels); }, {record.string()}));
  }
}

TEST_F(Publish, WhyThereIsNoFolderForRecordsIsSaid) {
  const test::TempFolder keys;
  test::write_text(keys / "releases", "a file");
  EXPECT_TRUE(test::refuses([&] { (void)remember_release(keys.path(), Release{}, Target{}); },
                            {"releases are remembered", "Not a directory"}));
}

// The same ciphertexts are not the same results for other images, at other places, or beside a lost batch.
TEST_F(Publish, AReleaseIsOfPlanImagesAndPlaces) {
  const auto ask = [&](const std::string& plan, std::uint64_t images, const std::vector<std::string>& ciphertexts) {
    return remember_release(folder / "r", {"key", "labels", "1", plan, images, ciphertexts, {}}, {});
  };
  EXPECT_FALSE(ask("plan", 1, {"lost 0", "a ciphertext"}).again);
  EXPECT_TRUE(ask("plan", 1, {"lost 0", "a ciphertext"}).again);
  using Texts = std::vector<std::string>;
  for (const auto& [plan, images, ciphertexts] :
       {std::tuple<std::string, std::uint64_t, Texts>{"plan", 64, {"lost 0", "a ciphertext"}},
        {"other", 1, {"lost 0", "a ciphertext"}},
        {"plan", 1, {"a ciphertext"}},
        {"plan", 1, {"a ciphertext", "lost 1"}}})
    EXPECT_TRUE(test::fails_with([&, p = plan, i = images, c = ciphertexts] { (void)ask(p, i, c); }, ErrorCode::usage,
                                 {"published before"}))
        << plan << images;
}

TEST_F(Publish, OfRequestsAtTheSameTimeOneIsServed) {
  for (int round = 0; round < 20; ++round) {
    const std::string dir = std::to_string(round);
    std::atomic<int> served = 0;
    std::vector<std::thread> threads;
    for (const char* noise : {"1", "2", "3", "4"})
      threads.emplace_back([&, noise] {
        try {
          (void)remember_release(folder / dir, {"key", "labels", noise, "plan", 1, {"a ciphertext"}, {}}, {});
          ++served;
        } catch (const Error& e) {
          EXPECT_EQ(e.code(), ErrorCode::usage) << e.what();
        }
      });
    for (std::thread& t : threads) t.join();
    EXPECT_EQ(served, 1);
  }
}

}  // namespace
}  // namespace sotto::client
