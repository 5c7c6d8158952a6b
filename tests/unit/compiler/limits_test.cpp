// Depth, batch and image size: what fits is compiled, what does not is said so.
#include <gtest/gtest.h>

#include "circuit/interpret.h"
#include "ckks/security.h"
#include "compiler/compile.h"
#include "graph/interpreter.h"
#include "plan/schedule.h"
#include "plan/verify.h"
#include "support/expect_error.h"
#include "support/network_builder.h"
#include "support/values.h"

namespace sotto::compiler {
namespace {

using test::NetworkBuilder;

// `depth` squares and a last layer: depth + 1 limbs. Values stay in [0, 1].
graph::Network chain(int depth) {
  NetworkBuilder b({1, 1, 1}, 1);
  int x = 0;
  for (int d = 0; d < depth; ++d) {
    x = b.dense(x, 1);
    b.network.nodes.back().op = graph::Dense{1, 1, {0.5}, {0.5}};
    x = b.square(x);
  }
  b.dense(x, 2);
  return b.network;
}

TEST(Depth, EveryPlanIsValidAndSecure) {
  for (int depth = 1; depth <= 30; ++depth) {
    const graph::Network network = chain(depth);
    const plan::Plan p = compile(network, {}).plan;
    EXPECT_NO_THROW(plan::verify(p)) << depth;
    EXPECT_EQ(p.parameters.ciphertext_primes, depth + 1);
    EXPECT_FALSE(p.bootstrapping.has_value()) << depth;
    const auto parameters = ckks::Parameters::create(p.parameters);
    EXPECT_EQ(parameters.security_bits(), 128) << depth;
    EXPECT_LE(parameters.log2_qp(),
              ckks::find_security_row(p.parameters.log_n, ckks::SecretDistribution::ternary)->max_log2_qp)
        << depth;
    EXPECT_EQ(p.parameters.log_n, 16);
    const auto image = test::random_values(1, 3, 1);
    EXPECT_LT(test::relative_error(circuit::interpret(plan::view(p), image), graph::evaluate(network, image)), 1e-9);
  }
}

TEST(Depth, DeeperNetworksAreBootstrapped) {
  for (int depth : {31, 64, 100}) {
    const graph::Network network = chain(depth);
    const plan::Plan p = compile(network, {}).plan;
    EXPECT_NO_THROW(plan::verify(p)) << depth;
    EXPECT_TRUE(p.bootstrapping.has_value()) << depth;
    EXPECT_GT(plan::bootstraps(p), 0) << depth;
    EXPECT_EQ(p.parameters.log_n, 16);
    EXPECT_EQ(ckks::Parameters::create(p.parameters).security_bits(), 128) << depth;
    const auto image = test::random_values(1, 3, 1);
    EXPECT_LT(test::relative_error(circuit::interpret(plan::view(p), image), graph::evaluate(network, image)), 1e-9);
  }
}

TEST(Depth, HigherSecurityHasFewerLevelsAndNoBootstraps) {
  using Level = ckks::SecurityLevel;
  // Of 26 primes 21 and 5 special ones, of 24 primes 19 and 5: keys have eight digits at most.
  for (const auto& [level, most] : {std::pair{Level::quantum128, 20}, {Level::classical192, 18}}) {
    Options options;
    options.security = level;
    for (const int depth : {1, most}) {
      const graph::Network network = chain(depth);
      const plan::Plan p = compile(network, options).plan;
      EXPECT_NO_THROW(plan::verify(p)) << depth;
      EXPECT_EQ(p.parameters.security, level);
      EXPECT_FALSE(p.bootstrapping.has_value());
      EXPECT_LE(ckks::Parameters::create(p.parameters).log2_qp(),
                ckks::find_security_row(16, ckks::SecretDistribution::ternary, level)->max_log2_qp);
      EXPECT_NO_THROW(ckks::require_secure(p.parameters, p.keys));
    }
    for (const int depth : {25, 64})
      EXPECT_TRUE(test::fails_with([&] { (void)compile(chain(depth), options); }, ErrorCode::no_resources,
                                   {std::string(ckks::describe(level)), "does not fit"}))
          << depth;
  }
}

Options for_images(int batch) {
  Options o;
  o.batch = batch;
  return o;
}

graph::Network small_network() {
  NetworkBuilder b({2, 8, 8}, 3);
  b.dense(b.mean(b.activation(b.conv(b.activation(b.conv(0, 3, 3, 1, 1)), 3, 3, 2, 1))), 3);
  return b.network;
}

TEST(Batch, PlansHoldAtLeastTheImagesAskedFor) {
  const graph::Network network = small_network();
  const auto image = test::random_values(128, 1, 1);
  const auto expected = graph::evaluate(network, image);
  using packing::Axes;
  for (const auto& [asked, tile] :
       {std::pair(1, Axes(8)), std::pair(1024, Axes(8)), std::pair(1025, Axes(4, 8)), std::pair(2049, Axes(4)),
        std::pair(4096, Axes(4)), std::pair(16384, Axes(2)), std::pair(20000, Axes(1, 2)), std::pair(65536, Axes(1))}) {
    const plan::Plan p = compile(network, for_images(asked)).plan;
    EXPECT_EQ(p.tile, tile) << "the largest tile that leaves room for the batch";
    EXPECT_EQ(p.batch, 65536 / tile.area());
    plan::verify(p);
    EXPECT_LT(test::relative_error(circuit::interpret(plan::view(p), image), expected), 1e-9);
  }
}

TEST(Batch, ImpossibleSizes) {
  for (int batch : {-1, 0, 65537, 1 << 30})
    EXPECT_TRUE(
        test::fails_with([&] { (void)compile(small_network(), for_images(batch)); }, ErrorCode::usage, {"batch"}))
        << batch;
}

TEST(Batch, AnyStrideFitsAnyTile) {
  NetworkBuilder b({1, 9, 9}, 1);
  b.dense(b.mean(b.square(b.conv(0, 2, 3, 3, 0))), 2);
  for (int asked : {1, 256, 257, 65536}) {
    const plan::Plan p = compile(b.network, for_images(asked)).plan;
    EXPECT_GE(p.batch, asked);
    const auto image = test::random_values(81, 1, 1);
    EXPECT_LT(test::relative_error(circuit::interpret(plan::view(p), image), graph::evaluate(b.network, image)), 1e-9);
  }
}

TEST(Sizes, ImagesOfManyShapes) {
  for (const auto& [h, w] :
       {std::pair(1, 1), std::pair(1, 16), std::pair(3, 2), std::pair(17, 5), std::pair(28, 28), std::pair(33, 64)}) {
    NetworkBuilder b({1, h, w}, 2);
    b.dense(b.flatten(b.square(b.conv(0, 2, 3, 2, 1))), 2);
    const plan::Plan p = compile(b.network, {}).plan;
    EXPECT_NO_THROW(plan::verify(p)) << h << "x" << w;
    const auto image = test::random_values(static_cast<std::size_t>(h * w), 1, 1);
    EXPECT_LT(test::relative_error(circuit::interpret(plan::view(p), image), graph::evaluate(b.network, image)), 1e-9)
        << h << "x" << w;
  }
}

TEST(Sizes, MapsLargerThanTheImage) {
  // 8x8 with a border of 2 becomes 10x10; with a border of 4 and a stride of 2 7x7, whose pixels lie two apart.
  for (const auto& [stride, pad] : {std::pair(1, 2), std::pair(2, 4)}) {
    NetworkBuilder b({1, 8, 8}, 2);
    b.dense(b.mean(b.square(b.conv(0, 2, 3, stride, pad))), 2);
    const plan::Plan p = compile(b.network, {}).plan;
    const auto image = test::random_values(64, 1, 1);
    EXPECT_LT(test::relative_error(circuit::interpret(plan::view(p), image), graph::evaluate(b.network, image)), 1e-9);
  }
}

TEST(Sizes, PixelsTooFarApart) {
  NetworkBuilder b({1, 2, 2}, 2);
  int x = 0;
  for (int k = 0; k < 3; ++k) x = b.conv(x, 1, 1, 8192, 8192);  // strides of 2^39 together
  b.dense(b.mean(x), 2);
  EXPECT_TRUE(test::fails_with([&] { (void)compile(b.network, {}); }, ErrorCode::bad_input, {"4096", "padding"}));
}

TEST(Sizes, LargeImagesLeaveRoomForFewerOthers) {
  NetworkBuilder b({1, 1024, 8}, 2);
  b.dense(b.mean(b.conv(0, 1, 1, 4, 0)), 2);
  const plan::Plan p = compile(b.network, {}).plan;
  EXPECT_EQ(p.batch, 1024);
  EXPECT_EQ(p.tile, plan::Axes(16, 4)) << "where rows would take too many phases, columns get them";
  EXPECT_EQ(p.input().layout.phases, plan::Axes(64, 2));
  EXPECT_EQ(compile(b.network, for_images(65536)).plan.batch, 4096) << "more would take more phases than there may be";
}

}  // namespace
}  // namespace sotto::compiler
