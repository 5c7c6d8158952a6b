// Ranges of Relu nodes that are measured on images.
#include "graph/calibrate.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support/expect_error.h"

namespace sotto::graph {
namespace {

using Values = std::vector<double>;

// Two Relus read the doubled input, a third one their sum less 10.
Network three_relus() {
  const Shape s{1, 1, 2};
  Network n;
  n.nodes = {{"input", Input{}, {}, s}, {"twice", ChannelAffine{{2}, {0}}, {0}, s},
             {"first", Relu{}, {1}, s}, {"second", Relu{}, {1}, s},
             {"sum", Sum{}, {2, 3}, s}, {"less", ChannelAffine{{1}, {-10}}, {4}, s},
             {"third", Relu{}, {5}, s}};
  return n;
}

TEST(Calibrate, TheLargestMagnitudeOverAllImages) {
  EXPECT_EQ(relu_ranges(three_relus(), {{1, 2}}), (Values{4, 4, 6}));
  EXPECT_EQ(relu_ranges(three_relus(), {{1, 2}, {-7, 3}, {5, 0}}), (Values{14, 14, 10}));
  std::vector<Values> many(1000, Values{0, 1});
  many[501] = {9, -2};
  EXPECT_EQ(relu_ranges(three_relus(), many), (Values{18, 18, 26}));
  EXPECT_EQ(relu_ranges(three_relus(), {}), (Values{0, 0, 0}));
}

TEST(Calibrate, NothingIsMeasuredWithoutRelus) {
  Network n = three_relus();
  n.nodes.resize(2);
  EXPECT_EQ(relu_ranges(n, {{1, 2}}, [](std::size_t) { FAIL(); }), Values{});
}

TEST(Calibrate, RangesAreSetWithAMargin) {
  Network n = three_relus();
  set_relu_ranges(n, Values{4, 0, 6}, 1.5);
  EXPECT_EQ(std::get<Relu>(n.nodes[2].op).range, 6);
  EXPECT_EQ(std::get<Relu>(n.nodes[3].op).range, 0) << "unknown remains unknown";
  EXPECT_EQ(std::get<Relu>(n.nodes[6].op).range, 9);
  EXPECT_TRUE(test::fails_with([&] { set_relu_ranges(n, Values{1, 2}, 1.5); }, ErrorCode::internal));
}

TEST(Calibrate, WhatIsNotFiniteIsRefused) {
  for (double bad : {INFINITY, NAN})
    EXPECT_TRUE(test::refuses([&] { relu_ranges(three_relus(), {{1, 1}, {bad, 1}}); }, {"'first'", "finite"}));
  EXPECT_TRUE(test::refuses([&] { relu_ranges(three_relus(), {{1, 1, 1}}); }, {"size"}));
}

}  // namespace
}  // namespace sotto::graph
