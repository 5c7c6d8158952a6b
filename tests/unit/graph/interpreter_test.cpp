// The float interpreter on values that can be checked by hand.
#include "graph/interpreter.h"

#include <gtest/gtest.h>

#include <numeric>

#include "support/expect_error.h"

namespace sotto::graph {
namespace {

using Values = std::vector<double>;

Network network(Shape input, std::vector<Node> nodes) {
  Network n;
  n.nodes.push_back({"input", Input{}, {}, input});
  for (Node& node : nodes) n.nodes.push_back(std::move(node));
  return n;
}

Values counting(std::size_t n) {
  Values v(n);
  std::iota(v.begin(), v.end(), 1.0);
  return v;
}

TEST(Interpreter, ConvolutionCrossCorrelates) {
  Conv2d c{.out_c = 1, .in_c = 1, .kernel_h = 1, .kernel_w = 2, .weights = {10, 1}, .bias = {0.5}};
  EXPECT_EQ(evaluate(network({1, 1, 3}, {{"c", c, {0}, {1, 1, 2}}}), Values{1, 2, 3}), (Values{12.5, 23.5}));
  c.pad_left = 1, c.stride_w = 2;
  EXPECT_EQ(evaluate(network({1, 1, 3}, {{"c", c, {0}, {1, 1, 2}}}), Values{1, 2, 3}), (Values{1.5, 23.5}));
  // Wider pads than the image: windows that see nothing give the bias.
  c = {.out_c = 1,
       .in_c = 1,
       .pad_top = 2,
       .pad_left = 2,
       .pad_bottom = 2,
       .pad_right = 2,
       .weights = {3},
       .bias = {0.5}};
  Values expected(25, 0.5);
  expected[12] = 6.5;
  EXPECT_EQ(evaluate(network({1, 1, 1}, {{"c", c, {0}, {1, 5, 5}}}), Values{2}), expected);
}

TEST(Interpreter, PoolsAtTheBorder) {
  AveragePool p{
      .kernel_h = 2, .kernel_w = 2, .stride_h = 2, .stride_w = 2, .pad_top = 1, .pad_left = 1, .count_pad = false};
  const Values x = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  EXPECT_EQ(evaluate(network({1, 3, 3}, {{"p", p, {0}, {1, 2, 2}}}), x), (Values{1, 2.5, 5.5, 7}));
  p.count_pad = true;
  EXPECT_EQ(evaluate(network({1, 3, 3}, {{"p", p, {0}, {1, 2, 2}}}), x), (Values{0.25, 1.25, 2.75, 7}));
  EXPECT_EQ(evaluate(network({2, 1, 2}, {{"g", GlobalAveragePool{}, {0}, {2, 1, 1}}}), Values{1, 2, 3, 5}),
            (Values{1.5, 4}));
}

TEST(Interpreter, ConcatenatesAndRearranges) {
  const Shape s{1, 2, 2}, both{2, 2, 2};
  const ChannelAffine negate{{-1}, {0}};
  const std::vector<Node> joined = {{"n", negate, {0}, s}, {"j", Concat{}, {0, 1}, both}};
  EXPECT_EQ(evaluate(network(s, joined), Values{1, 2, 3, 4}), (Values{1, 2, 3, 4, -1, -2, -3, -4}));
  // Every second pixel of the second channel, between channels of zeros; then one row of zeros above.
  auto nodes = joined;
  nodes.push_back({"r", Rearrange{{-1, 1, -1}, 2, 2, 0, 0}, {2}, {3, 1, 1}});
  EXPECT_EQ(evaluate(network(s, nodes), Values{1, 2, 3, 4}), (Values{0, -1, 0}));
  nodes.back() = {"p", Rearrange{{0}, 1, 1, 1, -1}, {2}, {1, 3, 1}};
  EXPECT_EQ(evaluate(network(s, nodes), Values{1, 2, 3, 4}), (Values{0, 2, 4}));
}

TEST(Interpreter, ElementwiseAndDense) {
  const Shape s{2, 1, 2}, flat{4, 1, 1};
  const auto result = evaluate(network(s, {{"a", ChannelAffine{{2, -1}, {1, 0}}, {0}, s},
                                           {"s", Sum{}, {1, 0}, s},
                                           {"p", Product{}, {2, 1}, s},
                                           {"f", Flatten{}, {3}, flat},
                                           {"d", Dense{2, 4, {1, 0, 0, 0, 1, 1, 1, 1}, {0.5, 0}}, {4}, {2, 1, 1}}}),
                               Values{1, 2, 3, 4});
  // a = 3 5 -3 -4; a + x = 4 7 0 0; times a = 12 35 0 0.
  EXPECT_EQ(result, (Values{12.5, 47}));
}

Function relu(double range) {
  Function f = Function::of(Function::Kind::relu);
  f.range = range;
  return f;
}

TEST(Interpreter, ReluKeepsWhatIsPositive) {
  const Shape s{1, 1, 3};
  EXPECT_EQ(evaluate(network(s, {{"r", relu(0.5), {0}, s}}), Values{-2, 0, 1.5}), (Values{0, 0, 1.5}))
      << "its range changes nothing";
}

TEST(Interpreter, ObservesEveryNodeInOrder) {
  const Shape s{1, 2, 2};
  const Network n =
      network(s, {{"a", ChannelAffine{{2}, {0}}, {0}, s}, {"b", Sum{}, {0, 1}, s}, {"c", Product{}, {2, 1}, s}});
  std::vector<std::pair<int, Values>> seen;
  const Values x = counting(4);
  const Values y =
      evaluate(n, x, [&](int i, std::span<const double> v) { seen.emplace_back(i, Values(v.begin(), v.end())); });
  ASSERT_EQ(seen.size(), 4u);
  EXPECT_EQ(seen[0], std::pair(0, x));
  EXPECT_EQ(seen[1], std::pair(1, Values{2, 4, 6, 8}));
  EXPECT_EQ(seen[2], std::pair(2, Values{3, 6, 9, 12}));
  EXPECT_EQ(seen[3], std::pair(3, y));
}

TEST(Interpreter, ImagesOfAnotherSizeAreRefused) {
  const Network n = network({1, 2, 2}, {{"a", ChannelAffine{{2}, {0}}, {0}, {1, 2, 2}}});
  EXPECT_TRUE(test::refuses([&] { return evaluate(n, counting(3)); }));
  EXPECT_TRUE(test::refuses([&] { return evaluate_all(n, {counting(4), counting(5)}); }));
}

TEST(Interpreter, ManyImagesKeepTheirOrder) {
  const Network n = network({1, 1, 1}, {{"a", ChannelAffine{{2}, {1}}, {0}, {1, 1, 1}}});
  std::vector<Values> images;
  for (int i = 0; i < 100; ++i) images.push_back({static_cast<double>(i)});
  std::atomic<int> calls{0};
  const auto out = evaluate_all(n, images, [&](std::size_t done) { calls += done % 16 == 0; });
  ASSERT_EQ(out.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(out[i], Values{2.0 * i + 1});
  EXPECT_EQ(calls, 6);
}

TEST(Interpreter, DescribeNamesEveryNode) {
  const Network n = network(
      {1, 2, 2}, {{"first", Conv2d{.out_c = 1, .in_c = 1, .groups = 1, .weights = {1}, .bias = {0}}, {0}, {1, 2, 2}},
                  {"second", Product{}, {1, 1}, {1, 2, 2}},
                  {"third", relu(6.5), {2}, {1, 2, 2}},
                  {"fourth", relu(0), {3}, {1, 2, 2}}});
  const std::string text = describe(n);
  for (const char* word :
       {"Input", "Conv 1x1 stride 1", "first", "Product", "second <- 1 1", "1 x 2 x 2", "Relu range 6.5", "Relu      "})
    EXPECT_NE(text.find(word), std::string::npos) << word << " in:\n" << text;
}

}  // namespace
}  // namespace sotto::graph
