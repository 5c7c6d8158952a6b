#include "lowering/plan_file.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "ckks/key_file.h"
#include "compiler/lower.h"
#include "graph/onnx_import.h"
#include "graph/onnx_weights.h"
#include "support/expect_error.h"
#include "support/raw_container.h"
#include "training/differentiate.h"
#include "training/trained.h"

namespace sotto::lowering {
namespace {

TrainingPlan plan_of_the_repository() {
  const std::filesystem::path folder = std::filesystem::path(SOTTO_SOURCE_DIR) / "models/train";
  const Spec spec = training::read_spec(folder / "mnist.toml");
  const graph::Network network = graph::import_onnx(folder / "lenet-mnist.onnx");
  TrainingPlan plan = compile(training::differentiate(network, spec), spec);
  plan.network = network.name;
  plan.model = graph::self_contained(folder / "lenet-mnist.onnx");
  plan.io = compiler::interface_of(network);
  plan.id = plan_id(plan);
  return plan;
}

class PlanFile : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    plan = new TrainingPlan(plan_of_the_repository());
    bytes = new Bytes;
    write_training_plan(Sink(*bytes), *plan, wire::Kind::plan);
  }
  static void TearDownTestSuite() {
    delete plan;
    delete bytes;
  }
  static TrainingPlan* plan;
  static Bytes* bytes;
};

TrainingPlan* PlanFile::plan = nullptr;
Bytes* PlanFile::bytes = nullptr;

TEST_F(PlanFile, ComesBackAsItWas) {
  const TrainingPlan back = read_training_plan(Source(*bytes), wire::Kind::plan);
  EXPECT_EQ(back.id, plan->id);
  EXPECT_EQ(back.parameters, plan->parameters);
  EXPECT_EQ(back.spec.rate, plan->spec.rate);
  EXPECT_EQ(back.step.parameters.size(), plan->step.parameters.size());
  EXPECT_EQ(program::digest_of(lower(back).program), program::digest_of(lower(*plan).program));
}

TEST_F(PlanFile, OneBootstrapPairAStepAndWithinTheSecurityTable) {
  const LoweredStep lowered = lower(*plan);
  EXPECT_EQ(program::counts_of(lowered.program, plan->parameters.log_n).bootstraps, 2);
  EXPECT_EQ(ckks::Parameters::create(plan->parameters).security_bits(), 128);
  EXPECT_NO_THROW(ckks::require_secure(plan->parameters, plan->keys));
  EXPECT_LT(memory_of(*plan, lowered), std::uint64_t{24} << 30);
}

TEST_F(PlanFile, ItsIdentityCoversSpecModelAndLevels) {
  TrainingPlan other = *plan;
  other.spec.rate *= 2;
  EXPECT_NE(plan_id(other), plan->id);
  other = *plan;
  other.model.back() ^= 1;
  EXPECT_NE(plan_id(other), plan->id);
  other = *plan;
  other.levels.image_scale *= 2;
  EXPECT_NE(plan_id(other), plan->id);
  other = *plan;
  other.network = "renamed.onnx";
  EXPECT_EQ(plan_id(other), plan->id);
}

TEST_F(PlanFile, RefusesRatesThatTakeMoreLevelsThanThereAre) {
  training::Spec spec = plan->spec;
  spec.rate = 1e-200;
  EXPECT_TRUE(
      test::fails_with([&] { return compile(plan->step, spec); }, ErrorCode::no_resources, {"levels", "larger rate"}));
}

TEST_F(PlanFile, RefusesWhatDoesNotFitItsIdentity) {
  TrainingPlan other = *plan;
  other.spec.steps += 1;  // and the old identity
  Bytes changed;
  write_training_plan(Sink(changed), other, wire::Kind::plan);
  EXPECT_TRUE(test::refuses([&] { return read_training_plan(Source(changed), wire::Kind::plan); }, {"identity"}));
  EXPECT_TRUE(test::refuses([&] { return read_training_plan(Source(*bytes), wire::Kind::client); }, {"plan"}));
  Bytes cut(bytes->begin(), bytes->end() - 100);
  EXPECT_THROW((void)read_training_plan(Source(cut), wire::Kind::plan), Error);
}

// Whatever a member of a description says: if it is changed, and checksums fit, the file is refused.
TEST_F(PlanFile, EveryMemberOfAClientDescriptionIsBound) {
  using nlohmann::json;
  const test::TempFolder folder;
  write_training_plan(folder / "a.client", *plan, wire::Kind::client);
  test::Contents contents(folder / "a.client", wire::Kind::client);
  const json header = contents.header;
  const json flat = header.flatten();
  int tried = 0;
  for (const auto& [where, value] : flat.items()) {
    const json::json_pointer pointer(where), parent = pointer.parent_pointer();
    // Names are for people only; of long lists the first, the second and the last show it.
    const bool in_list = where.find("/keys/") != std::string::npos && parent.parent_pointer().back() == "keys";
    if (where == "/network" || where.starts_with("/sections")) continue;
    if (in_list && parent.back() != "0" && parent.back() != "1") continue;
    json other = value.is_string()    ? json(value.get<std::string>() + "0")
                 : value.is_null()    ? json(std::string(64, 'a'))
                 : value.is_boolean() ? json(!value.get<bool>())
                 : value.is_number()  ? json(value.get<double>() + 1)
                                      : json::array({1});
    if (value.is_number_integer()) other = value.get<std::int64_t>() + 1;
    contents.header = header;
    contents.header[pointer] = other;
    contents.write(folder / "b.client", wire::Kind::client);
    ASSERT_TRUE(
        test::refuses([&] { return read_training_plan(folder / "b.client", wire::Kind::client); }, {"b.client"}))
        << where << " = " << other;
    ++tried;
  }
  EXPECT_GT(tried, 80);
}

TEST_F(PlanFile, UpdatesAreThoseOfTheOptimiser) {
  const std::vector<double> c = coefficients_of(*plan, 0);
  ASSERT_EQ(c.size(), static_cast<std::size_t>(kUpdateCoefficients));
  EXPECT_EQ(c[0], 1);                                            // w stays
  EXPECT_EQ(c[4], plan->spec.momentum);                          // u' = momentum u + ..
  EXPECT_NEAR(c[5], plan->spec.rate / plan->spec.batch, 1e-15);  // .. the mean gradient times the rate
  EXPECT_NEAR(c[2], -c[5], 1e-15);
}

}  // namespace
}  // namespace sotto::lowering
