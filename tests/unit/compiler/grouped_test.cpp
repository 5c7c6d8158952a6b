// Plans of several channels per ciphertext mean the same as the network, too.
#include <gtest/gtest.h>

#include <bit>

#include "circuit/interpret.h"
#include "ckks/security.h"
#include "compiler/compile.h"
#include "graph/interpreter.h"
#include "plan/describe.h"
#include "plan/schedule.h"
#include "plan/verify.h"
#include "support/expect_error.h"
#include "support/network_builder.h"
#include "support/values.h"

namespace sotto::compiler {
namespace {

using test::NetworkBuilder;

Options with_group(int group, int batch = 1) {
  Options o;
  o.batch = batch;
  o.group = group;
  return o;
}

plan::Plan expect_equal(const graph::Network& network, const Options& options) {
  plan::Plan p = compile(network, options).plan;
  EXPECT_NO_THROW(plan::verify(p));
  EXPECT_GE(p.batch, options.batch);
  EXPECT_EQ(p.batch * p.tile.area() * options.group, 1 << p.parameters.log_n);
  for (const plan::Tensor& t : p.tensors) EXPECT_EQ(t.layout.group, options.group);
  const auto image = test::random_values(network.input_shape().size(), 1, 1);
  EXPECT_LT(test::relative_error(circuit::interpret(plan::view(p), image), graph::evaluate(network, image)), 1e-9)
      << graph::describe(network) << plan::describe(p);
  return p;
}

TEST(GroupedNetworks, MeanTheSame) {
  for (unsigned seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    const graph::Network network = test::random_network(seed);
    expect_equal(network, with_group(2 << seed % 6, seed % 4 == 0 ? 100 : 1));
  }
}

TEST(GroupedNetworks, OfAnyStructureMeanTheSame) {
  for (unsigned seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    expect_equal(test::structured_network(seed), with_group(2 << seed % 5, seed % 3 == 0 ? 100 : 1));
  }
}

TEST(GroupedNetworks, HaveTheExtraPrimesThatTheirScoresNeed) {
  NetworkBuilder b({3, 16, 16}, 1);
  int x = b.activation(b.conv(0, 8, 3, 1, 1));
  x = b.activation(b.sum(b.conv(x, 8, 3, 1, 1), x));
  b.dense(b.mean(x), 10);
  const plan::Plan single = expect_equal(b.network, with_group(1)), grouped = expect_equal(b.network, with_group(16));
  for (const plan::Plan* p : {&single, &grouped}) {
    EXPECT_EQ(p->parameters.ciphertext_primes, 3) << "this error does";
    for (const plan::Step& s : p->steps) EXPECT_LE(plan::units_taken(s), 1);
  }
  for (const plan::Step& s : single.steps) EXPECT_EQ(s.baby, 1);
  for (const plan::Step& s : grouped.steps) EXPECT_TRUE(std::has_single_bit(static_cast<unsigned>(s.baby)));

  const MeasuredCircuit measured = measured_circuit(b.network, made_up_calibration(interface_of(b.network)));
  Options options = with_group(16);
  const double coarse = compile(measured, options).score_error;
  double before = 3 * 48 - 12;  // bits of the modulus: the search may miss the least by a unit
  for (double part : {1.0, 0.5, 0.1}) {
    options.score_error = part * coarse;
    const Compiled compiled = compile(measured, options);
    EXPECT_LE(compiled.score_error, options.score_error);
    const ckks::ParametersSpec& p = compiled.plan.parameters;
    const double bits = static_cast<double>(p.prime_bits) / (p.small_primes + 1) *
                        ckks::units_of(compiled.plan.steps.front().level, p.small_primes);
    EXPECT_GE(bits, before) << part << " of the error";
    EXPECT_LE(bits, 4 * 48) << part << " of the error";
    before = bits;
  }
  EXPECT_GT(before, 3.5 * 48) << "weights need the bits";
}

TEST(GroupedNetworks, FewerCiphertexts) {
  NetworkBuilder b({3, 8, 8}, 1);
  b.dense(b.mean(b.square(b.conv(0, 20, 3, 1, 1))), 10);
  const plan::Plan p = expect_equal(b.network, with_group(8));
  EXPECT_EQ(p.input().layout.ciphertexts(), 1);
  EXPECT_EQ(p.tensors[1].layout.ciphertexts(), 3);
  EXPECT_EQ(p.output().layout.ciphertexts(), 2);
}

TEST(GroupedNetworks, TilesShrinkForTheGroup) {
  // 64 x 64 pixels of 64 channels do not fit 2^16 slots.
  NetworkBuilder b({1, 64, 64}, 1);
  b.dense(b.mean(b.square(b.conv(0, 2, 3, 2, 1))), 2);
  EXPECT_EQ(expect_equal(b.network, with_group(16)).tile, 64);
  EXPECT_EQ(expect_equal(b.network, with_group(64)).tile, 32);
  EXPECT_EQ(expect_equal(b.network, with_group(16, 2)).tile, packing::Axes(32, 64));
}

TEST(GroupedNetworks, AnyStrideFitsAnyTile) {
  NetworkBuilder b({1, 64, 64}, 1);
  b.dense(b.mean(b.square(b.conv(0, 2, 3, 3, 0))), 2);
  EXPECT_EQ(expect_equal(b.network, with_group(16)).tile, 64);
  EXPECT_EQ(expect_equal(b.network, with_group(32)).tile, packing::Axes(32, 64));
}

TEST(GroupedNetworks, ImpossibleGroups) {
  NetworkBuilder b({1, 8, 8}, 1);
  b.dense(b.mean(b.square(b.conv(0, 2, 3, 1, 1))), 2);
  for (int group : {-4, -1, 0, 3, 6, 63, 65, 128, 1 << 30})
    EXPECT_TRUE(test::fails_with([&] { (void)compile(b.network, with_group(group)); }, ErrorCode::usage,
                                 {"power of two", "64"}))
        << group;
}

}  // namespace
}  // namespace sotto::compiler
