#include "client/close_scores.h"

#include <gtest/gtest.h>

#include <random>

namespace sotto::client {
namespace {

plan::Watch watch(double error, double spread = 1, double agreement = 0.995) {
  plan::Watch w;
  w.score_error = error;
  w.score_spread = spread;
  w.agreement = agreement;
  return w;
}

// Scores of many images, all classes alike, with this deviation.
Scores random_scores(std::size_t images, double deviation, unsigned seed) {
  std::mt19937_64 rng(seed);
  std::normal_distribution<double> normal(0, deviation);
  Scores scores(images, std::vector<double>(10));
  for (auto& row : scores)
    for (double& s : row) s = normal(rng);
  return scores;
}

std::vector<Doubt> marks(const plan::Watch& w, const Scores& scores) {
  std::vector<Doubt> doubts(scores.size(), Doubt::none);
  mark_close_scores(w, scores, doubts);
  return doubts;
}

TEST(CloseScores, NothingIsMarkedWherePredictionsHold) {
  EXPECT_TRUE(doubtful(marks(watch(0.001), random_scores(1000, 1, 1))).empty());
  EXPECT_TRUE(doubtful(marks(watch(0.1, 1, 0), random_scores(1000, 1, 1))).empty()) << "nothing was promised";
  EXPECT_TRUE(doubtful(marks(watch(0), random_scores(1000, 1, 1))).empty()) << "no error is known";
}

TEST(CloseScores, UnmarkedLabelsKeepThePromise) {
  const Scores exact = random_scores(4000, 0.01, 2), noise = random_scores(4000, 0.002, 3);
  Scores scores = exact;
  for (std::size_t i = 0; i < scores.size(); ++i)
    for (std::size_t c = 0; c < 10; ++c) scores[i][c] += noise[i][c];
  const std::vector<Doubt> doubts = marks(watch(0.002), scores);
  std::size_t all = 0, trusted = 0, wrong = 0, wrong_and_trusted = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const bool differs = argmax(scores[i]) != argmax(exact[i]), marked = doubts[i] == Doubt::error;
    ++all;
    trusted += !marked;
    wrong += differs;
    wrong_and_trusted += differs && !marked;
  }
  EXPECT_GT(wrong, all / 20) << "or the test shows nothing";
  EXPECT_LE(static_cast<double>(wrong_and_trusted), 0.01 * static_cast<double>(trusted));
  EXPECT_GT(trusted, all / 3) << "marks are not for everyone";
}

TEST(CloseScores, LivelierScoresHaveLargerErrors) {
  const Scores scores = random_scores(1000, 100, 4);
  EXPECT_TRUE(doubtful(marks(watch(0.1, 100), scores)).empty());
  EXPECT_FALSE(doubtful(marks(watch(0.1, 1), scores)).empty());
  Scores with_strange_ones = scores;
  for (std::size_t i = 0; i < 20; ++i)
    for (double& s : with_strange_ones[i]) s *= 1e6;
  EXPECT_TRUE(doubtful(marks(watch(0.1, 100), with_strange_ones)).empty()) << "a few strange images change nothing";
}

TEST(CloseScores, ScoresThatLieCloseMayBeThoseOfFaintPictures) {
  const Scores scores = random_scores(1000, 1, 6);
  plan::Watch w = watch(0.001, 10);
  EXPECT_TRUE(doubtful(marks(w, scores)).empty());
  w.faint_error = 0.1;
  EXPECT_FALSE(doubtful(marks(w, scores)).empty());
  w.score_spread = 1;
  EXPECT_TRUE(doubtful(marks(w, scores)).empty()) << "as lively as those on which errors were predicted";
}

// Faint pictures beside as many others: what is near them tells, not the spread of all.
TEST(CloseScores, FaintPicturesAreFoundAmongOthers) {
  Scores scores = random_scores(600, 1, 7);
  const Scores faint = random_scores(400, 0.01, 8);
  scores.insert(scores.end(), faint.begin(), faint.end());
  plan::Watch w = watch(0.0001, 1);
  EXPECT_TRUE(doubtful(marks(w, scores)).empty());
  w.faint_error = 0.01;
  const std::vector<std::size_t> marked = doubtful(marks(w, scores));
  EXPECT_GT(marked.size(), 100u);
  for (const std::size_t i : marked) EXPECT_GE(i, 600u) << "an image as lively as those of the prediction";
}

// What is left of scores that are far smaller than their errors is noise, whose best ones lead by several deviations in
// one of a thousand images.
TEST(CloseScores, NoLabelOfNoiseIsTrusted) {
  EXPECT_EQ(doubtful(marks(watch(1), random_scores(4000, 1, 9))).size(), 4000u);
  EXPECT_EQ(doubtful(marks(watch(1, 1e6), random_scores(4000, 1, 9))).size(), 4000u)
      << "however large they were before";
  const Scores one{{0.1, -0.2, 0.3, 4.0, 0.2, -0.3, 0.1, 0.2, 0.0, -0.1}};
  EXPECT_TRUE(doubtful(marks(watch(0.01), one)).empty()) << "a lone image has no neighbours to tell";
  EXPECT_EQ(doubtful(marks(watch(2), one)).size(), 1u);
  const Scores same(100, one.front());
  EXPECT_TRUE(doubtful(marks(watch(0.01), same)).empty()) << "all images may be the same";
}

TEST(CloseScores, OtherMarksStay) {
  Scores scores = random_scores(10, 1, 5);
  scores[3] = std::vector<double>(10, 1.0);
  std::vector<Doubt> doubts(10, Doubt::none);
  doubts[3] = Doubt::range;
  mark_close_scores(watch(1e-6), scores, doubts);
  EXPECT_EQ(doubtful(doubts), std::vector<std::size_t>{3});
  EXPECT_EQ(doubts[3], Doubt::range);
  doubts[3] = Doubt::none;
  mark_close_scores(watch(1e-6), scores, doubts);
  EXPECT_EQ(doubts[3], Doubt::error);
}

}  // namespace
}  // namespace sotto::client
