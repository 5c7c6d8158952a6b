// Plots of layers: lengths in proportion, numbers that are missing, text that must not break out.
#include "report/svg_plot.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "report/svg_axis.h"
#include "report/svg_packing.h"
#include "support/markup.h"

namespace sotto::report {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN(), kInf = std::numeric_limits<double>::infinity();
const std::string kEvil = "</svg><script>alert(\"1\")</script>&'\x01\xff";

std::vector<double> widths(const std::string& svg, const std::string& style) {
  return test::found_numbers(svg, "width=\"([0-9.]+)\" height=\"[0-9.]+\" class=\"" + style + "\"");
}

TEST(Axis, RoundTicksFromZeroCoverTheLargest) {
  for (double largest : {1e-9, 0.03, 0.9999, 1.0, 7.3, 14.49, 99.0, 1234567.0}) {
    const Axis axis(largest, 500, 6);
    EXPECT_EQ(axis.ticks().front(), 0);
    EXPECT_GE(axis.ticks().back(), largest * (1 - 1e-6));
    EXPECT_LE(axis.ticks().size(), 9u) << largest;
    EXPECT_GE(axis.ticks().size(), 3u) << largest;
    EXPECT_NEAR(axis.at(largest / 2), 250 * largest / axis.ticks().back(), 1e-6);
    EXPECT_DOUBLE_EQ(axis.at(axis.ticks().back()), 500);
  }
  EXPECT_EQ(tick_text(Axis(14.49, 1, 8).ticks()[3]), "6");
  EXPECT_EQ(tick_text(Axis(1, 1, 5).ticks()[3]), "0.6");
}

TEST(Axis, ValuesThatAreNotFinite) {
  for (double bad : {kNaN, kInf, -kInf, 0.0, -3.0}) {
    const Axis axis(bad, 100, 5);
    EXPECT_EQ(axis.ticks().back(), 1);
  }
  EXPECT_EQ(Axis(1, 100, 5).at(kNaN), 0);
  EXPECT_EQ(Axis(1, 100, 5).at(-1), 0);
  EXPECT_EQ(largest_of({kNaN, 2, kInf, 1}), 2);
  EXPECT_EQ(largest_of({}), 0);
}

TEST(Text, ShortenedInTheMiddleByCharacters) {
  EXPECT_EQ(shortened("abc", 3), "abc");
  EXPECT_EQ(shortened("abcdefgh", 5), "ab\xe2\x80\xa6gh");
  EXPECT_EQ(shortened("\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9", 4), "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9");
  EXPECT_EQ(shortened("\xc3\xa9\xc3\xa8\xc3\xa9\xc3\xaa", 3), "\xc3\xa9\xe2\x80\xa6\xc3\xaa");
}

TEST(Text, IsHarmless) { EXPECT_EQ(safe("a<b\x01\xff\xc3\xa9"), "a&lt;b??\xc3\xa9"); }

TEST(StackedBars, PiecesInProportion) {
  const std::string svg = stacked_bars({"t",
                                        "s",
                                        "seconds",
                                        {"first", "second"},
                                        {{"rotate", {1, 2}}, {"linear", {3, 0}}},
                                        Series{"predicted", {2, 8}}});
  EXPECT_EQ(test::unbalanced(svg), "");
  // The first box of a series is that of the legend.
  const auto rotate = widths(svg, "s0"), linear = widths(svg, "s1");
  ASSERT_EQ(rotate.size(), 3u);
  ASSERT_EQ(linear.size(), 2u) << "no piece for zero";
  EXPECT_NEAR(rotate[2], 2 * rotate[1], 0.2);
  EXPECT_NEAR(linear[1], 3 * rotate[1], 0.3);
  const auto marks =
      test::found_numbers(svg, "<line x1=\"([0-9.]+)\" y1=\"[0-9.]+\" x2=\"[0-9.]+\" y2=\"[0-9.]+\" class=\"mark\"");
  ASSERT_EQ(marks.size(), 3u);
  EXPECT_NEAR(marks[2] - marks[1], 6 * rotate[1], 0.6);
  EXPECT_NE(svg.find(">4.00 s<"), std::string::npos) << "the sum stands beside its bar";
}

TEST(StackedBars, MissingNumbersAndText) {
  const std::string svg =
      stacked_bars({kEvil, kEvil, kEvil, {kEvil, "none"}, {{kEvil, {kNaN}}, {"b", {1, kInf}}}, Series{kEvil, {}}});
  EXPECT_EQ(test::unbalanced(svg), "");
  EXPECT_EQ(svg.find("<script"), std::string::npos);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(svg.find("inf"), std::string::npos);
  EXPECT_NE(svg.find("unknown"), std::string::npos);
  EXPECT_EQ(test::unbalanced(stacked_bars({})), "");
}

TEST(StepPlot, AreaAndLevels) {
  const std::string svg =
      step_plot({"t", "GiB", "layer", {"a", "b", "c"}, {"predicted", {1, 2, 4}}, {{"measured", 3}}});
  EXPECT_EQ(test::unbalanced(svg), "");
  const auto heights = test::found_numbers(svg, "height=\"([0-9.]+)\" class=\"s0 area\"");
  ASSERT_EQ(heights.size(), 3u);
  EXPECT_NEAR(heights[2], 4 * heights[0], 0.3);
  EXPECT_EQ(test::found(svg, "<path").size(), 1u);
  EXPECT_EQ(test::found(svg, "class=\"line0\"").size(), 2u) << "legend and plot";
  EXPECT_NE(svg.find("measured 3.00 GiB"), std::string::npos);
}

TEST(StepPlot, MissingNumbersAndManyLabels) {
  StepPlot plot{kEvil, "MiB", kEvil, std::vector<std::string>(500, kEvil), {kEvil, {kNaN, 1, kInf}}, {{kEvil, kNaN}}};
  std::string svg = step_plot(plot);
  EXPECT_EQ(test::unbalanced(svg), "");
  EXPECT_EQ(svg.find("<script"), std::string::npos);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(test::found(svg, "class=\"line0\"").size(), 0u);
  EXPECT_LE(test::found(svg, "text-anchor=\"middle\"").size(), 26u) << "numbers must not overlap";
  EXPECT_EQ(test::unbalanced(step_plot({})), "");
}

TEST(PackingPicture, AnyPacking) {
  for (int images : {1, 2, 16, 1024, 65536})
    for (int group : {1, 4, 64})
      for (const packing::Axes& tile : {packing::Axes(1), {1, 64}, {8, 16}, {32, 8}, {256, 16}}) {
        const std::string svg = packing_picture(images, group, tile);
        EXPECT_EQ(test::unbalanced(svg), "");
        EXPECT_EQ(test::found(svg, "class=\"chosen\"").size(), 2u);
        EXPECT_EQ(test::found(svg, "class=\"s0\"").size(),
                  static_cast<std::size_t>(std::min(tile.h, 32) * std::min(tile.w, 32)));
      }
}

}  // namespace
}  // namespace sotto::report
