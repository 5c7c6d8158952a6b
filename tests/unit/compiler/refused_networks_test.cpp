// What cannot run encrypted is refused, and the node at fault is named.
#include <gtest/gtest.h>

#include "compiler/compile.h"
#include "support/expect_error.h"
#include "support/network_builder.h"

namespace sotto::compiler {
namespace {

using test::NetworkBuilder;
using test::refuses;

std::string name_of(const NetworkBuilder& b, int v) {
  return "'" + b.network.nodes[static_cast<std::size_t>(v)].name + "'";
}

::testing::AssertionResult refused_at(const NetworkBuilder& b, int node, std::string_view word) {
  return refuses([&] { (void)compile(b.network, {}); }, {name_of(b, node), word});
}

TEST(Refused, PowersAboveSixteen) {
  NetworkBuilder b({2, 8, 8}, 1);
  const int x = b.conv(0, 2, 3, 1, 1), power = b.square(b.square(b.square(b.square(x))));
  const int y = b.product(power, x);
  b.dense(b.mean(y), 2);
  EXPECT_TRUE(refused_at(b, y, "degree above 16"));
}

TEST(Refused, FunctionsThatNoPolynomialFollows) {
  NetworkBuilder b({2, 8, 8}, 1);
  const int x = b.function(b.conv(0, 2, 3, 1, 1), graph::Function::of(graph::Function::Kind::tanh), 5000);
  b.dense(b.mean(x), 2);
  EXPECT_TRUE(test::fails_with([&] { (void)compile(b.network, {}); }, ErrorCode::no_resources,
                               {name_of(b, x), "Tanh", "5000", "larger error"}));
}

TEST(Refused, RelusOfUnknownRange) {
  for (double range : {0.0, -1.0, 4.0}) {
    NetworkBuilder b({2, 8, 8}, 1);
    const int x = b.relu(b.conv(0, 2, 3, 1, 1), 4), y = b.relu(b.conv(x, 2, 3, 1, 1), range);
    b.dense(b.mean(y), 2);
    if (range > 0) {
      EXPECT_NO_THROW((void)compile(b.network, {}));
    } else {
      EXPECT_TRUE(refused_at(b, y, "images to measure on")) << range;
    }
  }
}

TEST(Refused, RelusOfHugeRanges) {
  NetworkBuilder b({2, 8, 8}, 1);
  const int x = b.relu(b.conv(0, 2, 3, 1, 1), 1e13);
  b.dense(b.mean(x), 2);
  EXPECT_TRUE(refused_at(b, x, "inputs up to 1e+13, too large"));
}

TEST(Refused, ErrorsOfRelusOutOfRange) {
  NetworkBuilder b({2, 8, 8}, 1);
  b.dense(b.mean(b.relu(b.conv(0, 2, 3, 1, 1), 4)), 2);
  for (double error : {0.0, -1.0, 0.26, 0x1p-21}) {
    EXPECT_TRUE(test::fails_with([&] { (void)compile(b.network, {}, error); }, ErrorCode::usage, {"0.25"})) << error;
  }
}

TEST(Refused, KernelsThatAreTooLarge) {
  NetworkBuilder b({1, 70, 70}, 1);
  const int x = b.conv(0, 1, 65, 1, 0);
  b.dense(b.mean(x), 2);
  EXPECT_TRUE(refused_at(b, x, "64"));
  NetworkBuilder dilated({1, 70, 70}, 1);  // the same reach, but few taps
  dilated.dense(dilated.mean(dilated.conv(0, 1, 3, 1, 0, 1, 32)), 2);
  EXPECT_NO_THROW((void)compile(dilated.network, {}));
}

TEST(Refused, OutputsThatAreNoScores) {
  NetworkBuilder b({2, 8, 8}, 1);
  const int x = b.conv(0, 2, 3, 1, 1);
  EXPECT_TRUE(refused_at(b, x, "scores"));
}

}  // namespace
}  // namespace sotto::compiler
