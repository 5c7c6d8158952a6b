// Plots of lines: where they run, what interrupts them, and that thousands of values stay a small picture.
#include "report/svg_lines.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "support/markup.h"

namespace sotto::report {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN(), kInf = std::numeric_limits<double>::infinity();
const std::string kEvil = "</svg><script>alert(\"1\")</script>&'\x01\xff";

LinePlot plot_of(std::vector<Series> series, Heights heights = Heights::from_zero) {
  return {.title = "Loss",
          .unit = "",
          .axis = "step",
          .values = "loss",
          .series = std::move(series),
          .heights = heights,
          .void_name = "means nothing"};
}

std::vector<std::string> paths(const std::string& svg, int series) {
  return test::found(svg, "<path d=\"([^\"]*)\" class=\"curve" + std::to_string(series) + "\"");
}

std::vector<double> xs(const std::string& path) { return test::found_numbers(path, "[ML]([0-9.]+) "); }
std::vector<double> ys(const std::string& path) { return test::found_numbers(path, "[ML][0-9.]+ ([0-9.]+)"); }

void expect_sound(const std::string& svg) {
  EXPECT_EQ(test::unbalanced(svg), "");
  EXPECT_EQ(svg.find("<script"), std::string::npos);
  EXPECT_TRUE(test::found(svg, "\"[^\"]*(nan|inf)[^\"]*\"").empty());
}

TEST(LinePlot, PointsInProportion) {
  const std::string svg = line_plot(plot_of({{"encrypted", {4, 2, 1}}, {"twin", {3, 3, 3}}}));
  expect_sound(svg);
  ASSERT_EQ(paths(svg, 0).size(), 1u);
  const auto x = xs(paths(svg, 0)[0]), y = ys(paths(svg, 0)[0]);
  ASSERT_EQ(x.size(), 3u);
  EXPECT_NEAR(x[1] - x[0], x[2] - x[1], 0.2);
  EXPECT_NEAR(y[1] - y[0], 2 * (y[2] - y[1]), 0.3);
  EXPECT_LT(svg.find("class=\"curve1\"", svg.find("<path")), svg.find("class=\"curve0\"", svg.find("<path")))
      << "the first series lies above the others";
  EXPECT_EQ(test::found(svg, "class=\"curve[01]\"").size(), 4u) << "lines and legend";
  EXPECT_NE(svg.find("<title>Loss</title>"), std::string::npos);
  EXPECT_NE(svg.find("step 2: encrypted 2; twin 3"), std::string::npos);
  EXPECT_EQ(svg, line_plot(plot_of({{"encrypted", {4, 2, 1}}, {"twin", {3, 3, 3}}})));
}

TEST(LinePlot, MissingValuesAreGaps) {
  const std::vector<double> values{1, 2, kNaN, 3, kInf, 4, 5};
  std::string svg = line_plot(plot_of({{"a", values}, {"none", {kNaN}}}));
  expect_sound(svg);
  ASSERT_EQ(paths(svg, 0).size(), 1u);
  EXPECT_EQ(test::found(paths(svg, 0)[0], "M").size(), 2u);
  EXPECT_EQ(xs(paths(svg, 0)[0]).size(), 4u) << "the one between gaps is a dot";
  EXPECT_EQ(test::found(svg, "<circle").size(), 5u);
  EXPECT_NE(svg.find("step 3: a unknown"), std::string::npos);
  EXPECT_EQ(svg.find("none"), std::string::npos);

  LinePlot bridged = plot_of({{"a", values}});
  bridged.bridged = true;
  svg = line_plot(bridged);
  expect_sound(svg);
  EXPECT_EQ(test::found(paths(svg, 0)[0], "M").size(), 1u);
  EXPECT_EQ(xs(paths(svg, 0)[0]).size(), 5u);
}

TEST(LinePlot, TextCannotBreakOut) {
  LinePlot plot = plot_of({{kEvil, {1, kNaN, 2}}, {kEvil, {}}});
  plot.title = plot.unit = plot.axis = plot.values = kEvil;
  plot.void_from = 2;
  plot.void_name = kEvil;
  expect_sound(line_plot(plot));
}

TEST(LinePlot, NoneAndOne) {
  expect_sound(line_plot({}));
  for (Heights h : {Heights::from_zero, Heights::fitted, Heights::logarithmic})
    for (double v : {0.0, 1.0, -1.0, 1e-300, 1e300, 5e-324, 1e-12, kNaN}) {
      const std::string svg = line_plot(plot_of({{"a", {v}}}, h));
      expect_sound(svg);
      EXPECT_EQ(paths(svg, 0).size(), 0u);
    }
  EXPECT_EQ(test::found(line_plot(plot_of({{"a", {1}}})), "<circle").size(), 1u);
}

TEST(LinePlot, ThousandsOfValues) {
  Series s{"a", std::vector<double>(10000, 1)};
  s.values[6789] = 3;
  s.values[6790] = 0;
  LinePlot plot = plot_of({s, s});
  const std::string svg = line_plot(plot);
  expect_sound(svg);
  EXPECT_LT(svg.size(), 80000u);
  const auto y = ys(paths(svg, 0)[0]);
  EXPECT_NEAR(*std::ranges::max_element(y) - *std::ranges::min_element(y), 240, 0.1) << "peaks are kept";
  EXPECT_LE(test::found(svg, "text-anchor=\"middle\" class=\"muted\">[0-9]+<").size(), 16u);
  EXPECT_NE(svg.find(": a 0 to 3; a 0 to 3"), std::string::npos);
}

TEST(LinePlot, FittedAxis) {
  const auto ticks = [](std::vector<double> values, Heights heights) {
    return test::found_numbers(line_plot(plot_of({{"a", std::move(values)}}, heights)),
                               "text-anchor=\"end\" class=\"muted\">([-0-9.e+]+)<");
  };
  const auto fitted = ticks({81, 84}, Heights::fitted);
  EXPECT_EQ(fitted.front(), 81);
  EXPECT_EQ(fitted.back(), 84);
  EXPECT_EQ(ticks({81, 84}, Heights::from_zero).front(), 0);
  EXPECT_EQ(ticks({100, 100}, Heights::fitted).back(), 100) << "no accuracy above 100 %";
  EXPECT_EQ(ticks({-3, -2}, Heights::fitted).front(), -3);
}

TEST(LinePlot, LogarithmicAxis) {
  const std::string svg = line_plot(plot_of({{"a", {1e-5, 1e-3, 1e-1, 0, -1}}}, Heights::logarithmic));
  expect_sound(svg);
  const auto y = ys(paths(svg, 0)[0]);
  ASSERT_EQ(y.size(), 3u) << "zero and negative values have no place";
  EXPECT_NEAR(y[0] - y[1], y[1] - y[2], 0.2);
  EXPECT_NEAR(y[0] - y[2], 240, 0.1);
  expect_sound(line_plot(plot_of({{"a", {1e-40, 1}}}, Heights::logarithmic)));
}

TEST(LinePlot, PartThatMeansNothing) {
  LinePlot plot = plot_of({{"a", {1, 2, 1e30, 1e40}}, {"b", {1, 2, 1, 1}}});
  plot.most = 4;
  plot.void_from = 3;
  const std::string svg = line_plot(plot);
  expect_sound(svg);
  EXPECT_EQ(test::found(svg, "class=\"void\"").size(), 2u) << "legend and plot";
  const auto y = ys(paths(svg, 0)[0]);
  EXPECT_EQ(y[1], y[2]) << "at the upper edge";
  for (int from : {-1, 0, 5}) {
    plot.void_from = from;
    EXPECT_EQ(test::found(line_plot(plot), "class=\"void\"").size(), 0u) << from;
  }
}

}  // namespace
}  // namespace sotto::report
