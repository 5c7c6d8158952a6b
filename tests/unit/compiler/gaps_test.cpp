// Networks whose channels lie in the gaps behind strides mean the same, and their layouts are as full as they can be.
#include <gtest/gtest.h>

#include "circuit/interpret.h"
#include "compiler/compile.h"
#include "graph/interpreter.h"
#include "packing/lay_out.h"
#include "plan/cost.h"
#include "plan/describe.h"
#include "plan/simulation.h"
#include "plan/verify.h"
#include "support/network_builder.h"
#include "support/values.h"

namespace sotto::compiler {
namespace {

using packing::Axes;
using test::NetworkBuilder;

// Maps of 32, 16 and 8 rows and columns, of 4, 8 and 16 channels.
NetworkBuilder strided() {
  NetworkBuilder b({3, 32, 32}, 4);
  int x = b.square(b.conv(0, 4, 3, 1, 1));
  x = b.square(b.sum(b.conv(x, 8, 3, 2, 1), b.conv(x, 8, 1, 2, 0)));
  x = b.square(b.conv(x, 16, 3, 2, 1));
  b.dense(b.mean(b.square(b.conv(x, 16, 3, 1, 1))), 4);
  return b;
}

std::vector<Axes> fills(const graph::Network& network, const Axes& tile) {
  std::vector<Axes> list;
  for (const packing::Layout& l : packing::lay_out(lower(network), tile, 1, true))
    if (l.plane() > 1) list.push_back(l.fill);
  return list;
}

TEST(Gaps, HoldAsManyChannelsAsHaveRoom) {
  const graph::Network net = strided().network;
  EXPECT_EQ(fills(net, 32), (std::vector<Axes>{1, 1, 2, 4, 4}));
  EXPECT_EQ(fills(net, {16, 32}), (std::vector<Axes>{1, 1, {1, 2}, {2, 4}, {2, 4}}));
  EXPECT_EQ(fills(net, 16), (std::vector<Axes>{1, 1, 1, 2, 2}));
  EXPECT_EQ(fills(net, 8), (std::vector<Axes>{1, 1, 1, 1, 1})) << "phases take the strides";
  NetworkBuilder few({1, 16, 16}, 1);
  few.dense(few.mean(few.square(few.conv(0, 3, 4, 4, 0))), 2);
  EXPECT_EQ(fills(few.network, 16).back(), Axes(2)) << "no more than there are channels";
  NetworkBuilder odd({1, 16, 16}, 1);
  odd.dense(odd.mean(odd.square(odd.conv(0, 8, 3, 3, 0))), 2);
  EXPECT_EQ(fills(odd.network, 16).back(), Axes(2)) << "powers of two within a gap of three";
}

// A gate goes to all positions of its tile, where other channels would lie.
TEST(Gaps, StayEmptyBesideSpreadFactors) {
  NetworkBuilder b({2, 16, 16}, 1);
  const int x = b.square(b.conv(0, 6, 3, 2, 1));
  b.dense(b.mean(b.excite(x, 2)), 3);
  for (const Axes& fill : fills(b.network, 16)) EXPECT_EQ(fill, Axes(1));
  EXPECT_FALSE(has_gaps(measured_circuit(b.network, made_up_calibration(interface_of(b.network))), {.batch = 1}));
}

TEST(Gaps, AreThereAtSomeBatches) {
  const graph::Network net = strided().network;
  const MeasuredCircuit circuit = measured_circuit(net, made_up_calibration(interface_of(net)));
  EXPECT_TRUE(has_gaps(circuit, {.batch = 64}));
  EXPECT_TRUE(has_gaps(circuit, {.batch = 128}));
  EXPECT_FALSE(has_gaps(circuit, {.batch = 1024}));
  EXPECT_FALSE(has_gaps(circuit, {.batch = 1, .group = 4}));
}

TEST(Gaps, NetworksOfAnyStructureMeanTheSame) {
  int filled = 0;
  for (unsigned seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    const graph::Network network = test::structured_network(seed);
    const plan::Plan p = compile(network, {.batch = 1, .fill = true}).plan;
    EXPECT_NO_THROW(plan::verify(p));
    for (const plan::Tensor& t : p.tensors) filled += t.layout.fill != Axes(1);
    const auto image = test::random_values(network.input_shape().size(), 1, 1);
    EXPECT_LT(test::relative_error(circuit::interpret(plan::view(p), image), graph::evaluate(network, image)), 1e-9)
        << graph::describe(network) << plan::describe(p);
  }
  EXPECT_GT(filled, 20);
}

// What the compiler promises of a plan's scores is what the simulated run does.
TEST(Gaps, ErrAsPredicted) {
  const graph::Network net = strided().network;
  const Compiled c = compile(net, {.batch = 64, .fill = true, .score_error = 1e-3});
  const auto image = test::random_values(net.input_shape().size(), 3, 1);
  const std::vector<double> exact = graph::evaluate(net, image);
  double squares = 0, scores = 0;
  for (unsigned seed = 1; seed <= 4; ++seed) {
    const auto noisy = plan::simulate(c.plan, std::vector<std::vector<double>>{image}, seed).scores.front();
    for (std::size_t k = 0; k < exact.size(); ++k, ++scores) squares += std::pow(noisy[k] - exact[k], 2);
  }
  const double error = std::sqrt(squares / scores);
  EXPECT_LT(error, 4 * c.score_error);
  EXPECT_GT(error, c.score_error / 30);
}

}  // namespace
}  // namespace sotto::compiler
