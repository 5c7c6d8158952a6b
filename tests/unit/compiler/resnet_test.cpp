// The network that Sotto is made for.
#include <gtest/gtest.h>

#include "circuit/interpret.h"
#include "compiler/compile.h"
#include "graph/interpreter.h"
#include "graph/onnx_import.h"
#include "plan/describe.h"
#include "plan/schedule.h"
#include "plan/verify.h"
#include "support/values.h"

namespace sotto::compiler {
namespace {

TEST(ResNet20, CompilesToTwentyStepsWithin128Bits) {
  const auto network = graph::import_onnx(SOTTO_SOURCE_DIR "/models/resnet20-cifar10.onnx");
  const plan::Plan p = compile(network, {}).plan;
  EXPECT_NO_THROW(plan::verify(p));
  EXPECT_EQ(p.steps.size(), 20u);
  EXPECT_EQ(p.batch, 1024);
  EXPECT_EQ(p.tile, 8);
  EXPECT_EQ(p.parameters.log_n, 16);
  EXPECT_EQ(p.parameters.ciphertext_primes, 20) << "one level for each square, and the last layer's";
  const auto parameters = ckks::Parameters::create(p.parameters);
  EXPECT_LE(parameters.log2_qp(), 1747);
  EXPECT_EQ(parameters.security_bits(), 128);
  EXPECT_EQ(p.input().layout, (plan::Layout{3, 32, 32, 4, 1}));
  EXPECT_EQ(p.io.classes, network.classes);
  EXPECT_EQ(p.io.outputs, 10);
  EXPECT_EQ(p.network, "resnet20-cifar10.onnx");
  const auto image = test::random_values(3072, 1, 1.5);
  EXPECT_LT(test::relative_error(circuit::interpret(plan::view(p), image), graph::evaluate(network, image)), 1e-9);
}

TEST(ResNet20, CompilesTheSameEveryTime) {
  const auto network = graph::import_onnx(SOTTO_SOURCE_DIR "/models/resnet20-cifar10.onnx");
  const plan::Plan a = compile(network, {}).plan, b = compile(network, {}).plan;
  EXPECT_EQ(a.id, b.id);
  EXPECT_EQ(plan::describe(a), plan::describe(b));
}

}  // namespace
}  // namespace sotto::compiler
