// Levels of any size: they save bits where they may, and stay away from what has no room for them.
#include <gtest/gtest.h>

#include "ckks/level.h"
#include "compiler/compile.h"
#include "compiler/key_tiers.h"
#include "graph/network.h"
#include "support/network_builder.h"

namespace sotto::compiler {
namespace {

using test::NetworkBuilder;

// Residual blocks, whose inputs are read at two levels.
graph::Network blocks(int count) {
  NetworkBuilder b({3, 8, 8}, 1);
  int x = b.activation(b.conv(0, 4, 3, 1, 1));
  for (int k = 0; k < count; ++k) x = b.activation(b.sum(b.conv(b.activation(b.conv(x, 4, 3, 1, 1)), 4, 3, 1, 1), x));
  b.dense(b.mean(x), 5);
  return b.network;
}

double bits(const plan::Plan& p) {
  const ckks::ParametersSpec& q = p.parameters;
  return static_cast<double>(q.prime_bits) / (q.small_primes + 1) *
         ckks::units_of(p.steps.front().level, q.small_primes);
}

TEST(SmallPrimes, SaveBitsForTheSameError) {
  const graph::Network network = blocks(3);
  const MeasuredCircuit measured = measured_circuit(network, made_up_calibration(interface_of(network)));
  for (int group : {1, 4}) {
    Options options{.batch = 1, .group = group};
    options.score_error = 0.1 * compile(measured, {.batch = 1, .group = group}).score_error;
    const Compiled with = compile(measured, options);
    options.small_primes = false;
    const Compiled without = compile(measured, options);
    for (const Compiled* c : {&with, &without}) EXPECT_LE(c->score_error, options.score_error) << group;
    EXPECT_EQ(with.plan.parameters.small_primes, kSmallPrimes);
    EXPECT_EQ(without.plan.parameters.small_primes, 0);
    EXPECT_LE(bits(with.plan), 0.95 * bits(without.plan)) << group;
    EXPECT_EQ(with.plan.output().level, with.plan.parameters.whole(1));
    for (const plan::Probe& p : with.plan.probes)
      EXPECT_TRUE(
          with.plan.tensors[static_cast<std::size_t>(p.tensor)].level.covers(with.plan.parameters.whole(p.limbs)));
  }
}

// The sum of the inputs, which comes back beside the scores, is watched at whole primes.
TEST(SmallPrimes, LeaveRoomToWatchInputs) {
  NetworkBuilder b({1, 8, 8}, 1);
  b.dense(b.mean(b.square(b.conv(0, 2, 3, 1, 1))), 2);
  const MeasuredCircuit measured = measured_circuit(b.network, made_up_calibration(interface_of(b.network)));
  for (double part : {1.0, 0.3, 0.1, 0.01}) {
    Options options{.batch = 1};
    options.score_error = part * compile(measured, {.batch = 1}).score_error;
    const plan::Plan p = compile(measured, options).plan;
    ASSERT_EQ(p.parameters.small_primes, kSmallPrimes);
    ASSERT_FALSE(p.probes.empty()) << part;
    EXPECT_EQ(p.probes.front().tensor, 0) << part;
  }
}

TEST(SmallPrimes, AreNotThereWithoutAWantedError) {
  EXPECT_EQ(compile(blocks(1), {.batch = 1}).plan.parameters.small_primes, 0);
}

TEST(SmallPrimes, CountWithTheirBits) {
  for (const auto security : {ckks::SecurityLevel::classical128, ckks::SecurityLevel::classical192}) {
    const int all = most_primes(kLogN, security), with = most_primes(kLogN, security, kSmallPrimes);
    EXPECT_GE(with, all);
    EXPECT_LE(with, all + 1) << "three small primes have the bits of two and a quarter";
  }
}

}  // namespace
}  // namespace sotto::compiler
