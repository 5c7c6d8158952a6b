// Plots of errors and labels: shares that add up, counts in their cells, text that must not break out.
#include "report/svg_distribution.h"

#include <gtest/gtest.h>

#include <limits>
#include <numeric>

#include "support/markup.h"

namespace sotto::report {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

TEST(Magnitudes, SharesAddUp) {
  Series s{"errors", {}};
  for (int i = 1; i <= 1000; ++i) s.values.push_back(1e-5 * i);
  const std::string svg = magnitudes({"t", "size", {s, {"leads", {1.6, 1.7}}}});
  EXPECT_EQ(test::unbalanced(svg), "");
  const auto shares = test::found_numbers(svg, "errors: ([0-9.]+) %");
  EXPECT_NEAR(std::accumulate(shares.begin(), shares.end(), 0.0), 100, 1);
  EXPECT_EQ(test::found_numbers(svg, "leads: ([0-9.]+) %"), std::vector<double>{100});
  for (const char* decade : {">1e-5<", ">1e-4<", ">0.001<", ">1<", ">10<"})
    EXPECT_NE(svg.find(decade), std::string::npos) << decade;
}

TEST(Magnitudes, ValuesThatHaveNone) {
  const std::string svg =
      magnitudes({"<t", "", {{"a", {0, -1, kNaN, std::numeric_limits<double>::infinity()}}, {"<b", {}}}});
  EXPECT_EQ(test::unbalanced(svg), "");
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(test::unbalanced(magnitudes({})), "");
}

TEST(Magnitudes, TinyValuesCountAsTheSmallest) {
  const std::string svg = magnitudes({"t", "", {{"a", {1e-300, 1e-200, 1.0, 2.0}}}});
  const auto shares = test::found_numbers(svg, "a: ([0-9.]+) %");
  ASSERT_EQ(shares.size(), 3u);
  EXPECT_EQ(shares[0], 50);
  EXPECT_LT(svg.size(), 20000u);
}

TEST(Matrix, CountsInTheirCells) {
  const std::string svg = matrix({"t", "true", "seen", {"cat", "<dog>"}, {{90, 1}, {0, 0}}});
  EXPECT_EQ(test::unbalanced(svg), "");
  EXPECT_EQ(svg.find("<dog>"), std::string::npos);
  for (const char* hint : {"cat as cat: 90", "cat as &lt;dog&gt;: 1", "&lt;dog&gt; as cat: 0"})
    EXPECT_NE(svg.find(hint), std::string::npos) << hint;
  EXPECT_EQ(test::found(svg, "class=\"cell q([0-9])\""), (std::vector<std::string>{"9", "1", "0", "0"}));
  EXPECT_EQ(test::unbalanced(matrix({})), "");
}

}  // namespace
}  // namespace sotto::report
