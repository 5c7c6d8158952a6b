// What a task multiplies: rows that read the same channels together, nothing twice, nothing in vain.
#include "plan/products.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "circuit/term.h"
#include "plan/cost.h"
#include "support/plan_builder.h"

namespace sotto::plan {
namespace {

using namespace test::kinds;
using test::PlanBuilder;

// Each channel by itself.
Term depthwise(PlanBuilder& b, int source, int channels) {
  Term t = b.convolution(source, channels, 3, 1, 1);
  for (int c = 0; c < channels; ++c) t.blocks.push_back({c, 1, c, 1});
  t.weights.resize(static_cast<std::size_t>(channels) * 9);
  return t;
}

Plan finished(PlanBuilder& b, std::vector<Term> terms, int channels) {
  const int x = b.step(std::move(terms), {channels, 8, 8, 1, 1}, square);
  b.step({b.full(x, 3)}, {3, 1, 1, 1, 1}, keep);
  return b.build();
}

// Every pair of a row and a column that has a weight is multiplied once, and every row begins once.
void expect_complete(const Plan& p) {
  for (const Task& task : make_schedule(p).tasks) {
    const Step& step = p.steps[static_cast<std::size_t>(task.step)];
    const Layout& out = p.tensors[static_cast<std::size_t>(step.output)].layout;
    std::set<std::tuple<int, int, int>> multiplied;  // row, tap, channel
    std::map<int, int> begun;
    std::set<int> rows;
    for (const Product& product : products_of(p, task)) {
      for (int o = product.row; o < product.row + product.rows; ++o) {
        if (product.first) ++begun[o];
        EXPECT_TRUE(product.first || rows.contains(o)) << "a row is added to before it begins";
        rows.insert(o);
        for (const Product::Columns& c : product.columns)
          for (int i = c.channel; i < c.channel + c.count; ++i) EXPECT_TRUE(multiplied.insert({o, c.tap, i}).second);
      }
    }
    for (int o = 0; o < out.channels; ++o) EXPECT_EQ(begun[o], 1) << o;
    for (std::size_t k = 0; k < task.taps.size(); ++k) {
      const Term& term = step.terms[static_cast<std::size_t>(task.taps[k].term)];
      for_each_pair(term, p.tensors[static_cast<std::size_t>(term.source)].layout, out,
                    [&](int o, int i, const double*) {
                      EXPECT_TRUE(multiplied.contains({o, static_cast<int>(k), i}));
                    });
    }
  }
}

std::size_t pairs(const std::vector<Product>& products) {
  std::size_t sum = 0;
  for (const Product& p : products) sum += static_cast<std::size_t>(p.rows) * p.width();
  return sum;
}

TEST(Products, OfADenseLayerAreOne) {
  PlanBuilder b(10, 8, {12, 8, 8, 1, 1}, 3);
  const Plan p = finished(b, {b.convolution(0, 16, 3, 1, 1)}, 16);
  const auto products = products_of(p, make_schedule(p).tasks[0]);
  ASSERT_EQ(products.size(), 1u);
  EXPECT_EQ(products[0].rows, 16);
  EXPECT_EQ(products[0].width(), 9u * 12u);
  expect_complete(p);
}

TEST(Products, OfADepthwiseLayerAreItsWeights) {
  PlanBuilder b(10, 8, {40, 8, 8, 1, 1}, 3);
  const Plan p = finished(b, {depthwise(b, 0, 40)}, 40);
  EXPECT_EQ(pairs(products_of(p, make_schedule(p).tasks[0])), 40u * 9u);
  expect_complete(p);
}

TEST(Products, OfAShortcutAreAdded) {
  PlanBuilder b(10, 8, {16, 8, 8, 1, 1}, 3);
  Term shortcut = b.convolution(0, 16, 1, 1, 0);
  for (int c = 2; c < 16; ++c) shortcut.blocks.push_back({c, 1, c - 2, 1});
  shortcut.weights.resize(14);
  const Plan p = finished(b, {b.convolution(0, 16, 3, 1, 1), shortcut}, 16);
  const auto products = products_of(p, make_schedule(p).tasks[0]);
  ASSERT_EQ(products.size(), 15u);
  EXPECT_TRUE(products[0].first);
  for (std::size_t k = 1; k < 15; ++k) EXPECT_FALSE(products[k].first);
  EXPECT_EQ(pairs(products), 16u * 16u * 9u + 14u);
  expect_complete(p);
}

TEST(Products, OfJoinedChannelsAndOverlappingRows) {
  PlanBuilder b(10, 8, {10, 8, 8, 1, 1}, 3);
  Term upper = b.convolution(0, 20, 1, 1, 0), lower = b.convolution(0, 20, 3, 1, 1);
  upper.blocks = {{0, 12, 3, 4}, {15, 2, 0, 1}};
  upper.weights.resize(12 * 4 + 2);
  lower.blocks = {{8, 9, 0, 10}};
  lower.weights.resize(9 * 10 * 9);
  const Plan p = finished(b, {upper, lower}, 20);  // rows 17 to 19 are biases
  EXPECT_EQ(pairs(products_of(p, make_schedule(p).tasks[0])), 12u * 4u + 2u + 9u * 90u);
  expect_complete(p);
}

TEST(Products, OfFewRowsAreTheirWeightsToo) {
  PlanBuilder b(10, 8, {5, 8, 8, 1, 1}, 3);
  const Plan p = finished(b, {depthwise(b, 0, 5), b.convolution(0, 5, 1, 1, 0)}, 5);
  EXPECT_EQ(pairs(products_of(p, make_schedule(p).tasks[0])), 5u * 9u + 5u * 5u);
  expect_complete(p);
}

TEST(Products, OfGroupsAreThoseThatWeightsNeed) {
  // 16 channels in four blocks, each connected with itself only: nine taps of four products.
  PlanBuilder b(10, 8, {16, 8, 8, 1, 1, 4}, 6, 2);
  const Plan p = finished(b, {depthwise(b, 0, 16)}, 16);
  const Task task = make_schedule(p).tasks[0];
  EXPECT_EQ(task.first_giant, 0);
  EXPECT_EQ(task.last_giant, 0);
  EXPECT_EQ(task.products, 36u);
}

TEST(Products, AreWhatLayersCost) {
  const auto linear = [](bool dense, int group) {
    PlanBuilder b(12, 8, {32, 8, 8, 1, 1, group}, 6, group == 1 ? 1 : 2);
    const Plan p = finished(b, {dense ? b.convolution(0, 32, 3, 1, 1) : depthwise(b, 0, 32)}, 32);
    return estimate(p).steps[0].linear;
  };
  EXPECT_LT(linear(false, 1).layer_macs, linear(true, 1).layer_macs / 4);
  EXPECT_NEAR(linear(false, 1).weights, linear(true, 1).weights / 32, linear(true, 1).weights / 200);
  EXPECT_LT(linear(false, 4).words, linear(true, 4).words / 20);
}

}  // namespace
}  // namespace sotto::plan
