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

TEST(Calibrate, TheLargestMagnitudeOverAllImages) {
  EXPECT_EQ(magnitudes(three_relus(), {{1, 2}}), (Values{2, 4, 4, 4, 8, 6, 0}));
  EXPECT_EQ(magnitudes(three_relus(), {{1, 2}, {-7, 3}, {5, 0}}), (Values{7, 14, 10, 10, 20, 10, 10}));
  std::vector<Values> many(1000, Values{0, 1});
  many[501] = {9, -2};
  EXPECT_EQ(magnitudes(three_relus(), many)[1], 18);
  EXPECT_EQ(magnitudes(three_relus(), {}), Values(7));
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
  set_ranges(n, Values{1, 4, 2, 2, 5, 0, 0}, 1.5);
  EXPECT_EQ(range(n, 2), 6);
  EXPECT_EQ(range(n, 3), 6);
  EXPECT_EQ(range(n, 6), 0) << "unknown remains unknown";
  EXPECT_EQ(n.nodes[4].magnitude, 5);
  EXPECT_TRUE(test::fails_with([&] { set_ranges(n, Values{1, 2}, 1.5); }, ErrorCode::internal));
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
