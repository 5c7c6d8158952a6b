// Ranges of values that are measured on images.
#include "graph/calibrate.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support/expect_error.h"

namespace sotto::graph {
namespace {

using Values = std::vector<double>;

Function relu() { return Function::of(Function::Kind::relu); }

// Two Relus read the doubled input, a third one their sum less 10.
Network three_relus() {
  const Shape s{1, 1, 2};
  Network n;
  n.nodes = {{"input", Input{}, {}, s}, {"twice", ChannelAffine{{2}, {0}}, {0}, s},
             {"first", relu(), {1}, s}, {"second", relu(), {1}, s},
             {"sum", Sum{}, {2, 3}, s}, {"less", ChannelAffine{{1}, {-10}}, {4}, s},
             {"third", relu(), {5}, s}};
  return n;
}

double range(const Network& n, std::size_t node) { return std::get<Function>(n.nodes[node].op).range; }

TEST(Calibrate, TheLargestMagnitudeOfEveryImage) {
  EXPECT_EQ(magnitudes(three_relus(), {{1, 2}, {-7, 3}, {5, 0}}),
            (Magnitudes{{2, 7, 5}, {4, 14, 10}, {4, 6, 10}, {4, 6, 10}, {8, 12, 20}, {6, 10, 10}, {0, 2, 10}}));
  std::vector<Values> many(1000, Values{0, 1});
  many[501] = {9, -2};
  Values expected(1000, 2);
  expected[501] = 18;
  EXPECT_EQ(magnitudes(three_relus(), many)[1], expected);
  EXPECT_EQ(magnitudes(three_relus(), {}), Magnitudes(7));
}

TEST(Calibrate, RangesLeaveHalfAsMuchAgain) {
  EXPECT_EQ(range_beyond({}), 0);
  EXPECT_EQ(range_beyond({1, 6, 2}), 9);
  EXPECT_EQ(range_beyond({0.01, 0.02, 6}), 9) << "three images tell nothing of a tail";
  Values even;  // of 100 images from 0.01 to 1
  for (int k = 1; k <= 100; ++k) even.push_back(k / 100.0);
  EXPECT_EQ(range_beyond(even), 1.5);
}

TEST(Calibrate, RangesLeaveMoreWhereTheLargestImagesLieFarApart) {
  Values exponential;  // quantiles of 512 images; one in 100,000 is beyond ln 100,000
  for (int k = 0; k < 512; ++k) exponential.push_back(-std::log((k + 0.5) / 512));
  EXPECT_NEAR(range_beyond(exponential), std::log(1e5), 0.1);
  Values one_outlier(512, 1);
  one_outlier[7] = 1000;
  EXPECT_EQ(range_beyond(one_outlier), 1500);
  Values heavy(32, 0.001);
  heavy[3] = heavy[4] = heavy[5] = heavy[6] = 1;
  EXPECT_EQ(range_beyond(heavy), 3) << "no more than three times as much";
}

TEST(Calibrate, WhatHasRanges) {
  Network n = three_relus();
  EXPECT_TRUE(needs_ranges(n));
  n.nodes.resize(2);
  EXPECT_FALSE(needs_ranges(n));
  n.nodes.push_back({"square", Product{}, {1, 1}, {1, 1, 2}});
  EXPECT_TRUE(needs_ranges(n));
}

TEST(Calibrate, RangesAreSetWithAMargin) {
  Network n = three_relus();
  set_ranges(n, {{1}, {3, 4}, {2}, {2}, {5, 1}, {0}, {0}});
  EXPECT_EQ(range(n, 2), 6);
  EXPECT_EQ(range(n, 3), 6);
  EXPECT_EQ(range(n, 6), 0) << "unknown remains unknown";
  EXPECT_EQ(n.nodes[4].magnitude, 5);
  EXPECT_TRUE(test::fails_with([&] { set_ranges(n, {{1}, {2}}); }, ErrorCode::internal));
}

TEST(Calibrate, WhatIsNotFiniteIsRefused) {
  for (double bad : {INFINITY, NAN})
    EXPECT_TRUE(test::refuses(
        [&] {
          magnitudes(three_relus(), {{1, 1}, {bad, 1}});
        },
        {"'input'", "finite", "ordinary ones"}));
  EXPECT_TRUE(test::refuses([&] { magnitudes(three_relus(), {{1, 1, 1}}); }, {"size"}));
}

}  // namespace
}  // namespace sotto::graph
