// Networks of any structure, encrypted in both packings, against the float64 interpretation of their plans.
#include <gtest/gtest.h>

#include "graph/interpreter.h"
#include "plan/describe.h"
#include "support/encrypted_error.h"
#include "support/network_builder.h"
#include "support/toy_plan.h"

namespace sotto::runtime {
namespace {

using test::NetworkBuilder;

// A weight that is lost, or counted twice, makes errors of 0.1 and more.
constexpr double kTolerance = 5e-2;

void expect_right(const graph::Network& network, const packing::Axes& tile) {
  for (const auto& [group, fill] :
       {std::pair(1, false), std::pair(1, true), std::pair(2, false), std::pair(8, false)}) {
    const plan::Plan p = test::toy_plan(network, tile, group, group == 2 ? 4 : 1, fill);
    EXPECT_LT(test::worst_error(p), kTolerance)
        << "group " << group << (fill ? ", gaps filled\n" : "\n") << graph::describe(network) << plan::describe(p);
    const auto image = test::random_images(p, 1).front();
    EXPECT_LT(test::relative_error(circuit::interpret(plan::view(p), image), graph::evaluate(network, image)), 1e-9);
  }
}

TEST(Structure, RandomNetworks) {
  for (unsigned seed = 1; seed <= 24; ++seed) {
    SCOPED_TRACE(seed);
    constexpr packing::Axes kTiles[] = {8, 4, {4, 8}, {16, 2}};
    expect_right(test::structured_network(seed), kTiles[seed % std::size(kTiles)]);
  }
}

TEST(Structure, NetworksOfOneLayer) {
  NetworkBuilder dense({3, 6, 6}, 1), mean({3, 6, 6}, 2), pool({3, 6, 6}, 3), rows({3, 1, 1}, 4);
  dense.dense(dense.flatten(0), 4);
  mean.mean(mean.conv(0, 4, 3, 1, 1));
  pool.dense(pool.flatten(pool.pool(0, 2, 2, 0)), 4);
  rows.dense(rows.dense(0, 5), 3);
  for (const NetworkBuilder* b : {&dense, &mean, &pool, &rows}) {
    expect_right(b->network, 4);
    expect_right(b->network, {2, 8});
  }
}

// Products of two values: of the same size, of a map with a gate, of vectors, with their own inputs and in a row.
TEST(Structure, Products) {
  NetworkBuilder two({2, 8, 8}, 1), gate({2, 8, 8}, 2), own({3, 6, 6}, 3), vectors({3, 6, 6}, 4), row({2, 8, 8}, 5);
  const int a = two.conv(0, 3, 3, 1, 1), b = two.square(two.conv(0, 3, 3, 1, 1));
  two.dense(two.mean(two.product(a, b)), 3);
  const int x = gate.square(gate.conv(0, 5, 3, 2, 1));
  gate.dense(gate.mean(gate.square(gate.conv(gate.excite(x, 2), 4, 3, 1, 1))), 3);
  own.dense(own.flatten(own.product(0, own.mean(0))), 4);
  const int means = vectors.mean(0);
  vectors.product(vectors.dense(means, 4), vectors.dense(vectors.flatten(0), 4));
  const int y = row.conv(0, 3, 3, 1, 1);
  const int z = row.product(y, row.conv(0, 3, 1, 1, 0));
  row.dense(row.mean(row.sum(row.product(z, row.conv(y, 3, 1, 1, 0)), row.excite(z, 3))), 3);
  for (const NetworkBuilder* n : {&two, &gate, &own, &vectors, &row}) {
    expect_right(n->network, 4);
    expect_right(n->network, {8, 2});
  }
  expect_right(gate.network, 1);
}

TEST(Structure, DepthwiseSeparableLayers) {
  NetworkBuilder b({3, 8, 8}, 1);
  const auto depthwise = [&](int x, int stride) {
    const int c = b.shape(x).c;
    return b.square(b.conv(x, c, 3, stride, 1, c));
  };
  int x = b.square(b.conv(0, 10, 3, 1, 1));
  x = b.square(b.conv(depthwise(x, 1), 12, 1, 1, 0));
  x = b.conv(depthwise(x, 2), 12, 1, 1, 0);
  b.dense(b.mean(x), 3);
  expect_right(b.network, 4);
}

// Products of one to five rows, in few rows and many.
TEST(Structure, GroupsOfAFewChannels) {
  for (int each = 1; each <= 5; ++each) {
    SCOPED_TRACE(each);
    NetworkBuilder b({3, 8, 8}, 1);
    const int x = b.square(b.conv(b.conv(0, 3, 3, 1, 1, 3), 4 * each, 1, 1, 0));
    b.dense(b.mean(b.conv(x, 4 * each, 3, 2, 1, 4)), 3);
    expect_right(b.network, 4);
  }
}

TEST(Structure, ShuffledChannelsInGroups) {
  NetworkBuilder b({4, 4, 4}, 1);
  graph::Rearrange shuffle;
  for (int c = 0; c < 12; ++c) shuffle.channels.push_back(c % 2 * 6 + c / 2);
  const int x = b.rearrange(b.square(b.conv(0, 12, 3, 1, 1, 2)), shuffle, 4, 4);
  b.dense(b.flatten(b.square(b.conv(x, 10, 1, 1, 0, 2))), 3);
  expect_right(b.network, 4);
}

}  // namespace
}  // namespace sotto::runtime
