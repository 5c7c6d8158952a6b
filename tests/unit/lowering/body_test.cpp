#include "lowering/body.h"

#include <gtest/gtest.h>
#include <tbb/global_control.h>

#include <algorithm>
#include <filesystem>

#include "lowering/cost.h"
#include "lowering/features.h"
#include "lowering/plan_file.h"
#include "lowering/plan_training.h"
#include "lowering/step_bootstrap.h"
#include "plan/plan_file.h"
#include "support/expect_error.h"

namespace sotto::lowering {
namespace {

const std::filesystem::path kModel = std::filesystem::path(SOTTO_SOURCE_DIR) / "models/train/lenet-mnist.onnx";

// The last layer alone, behind two convolutions that stay.
class BodyPlan : public testing::Test {
 protected:
  static Spec spec() {
    Spec spec;
    spec.new_head = 5;
    spec.batch = 2000;
    spec.steps = 3;
    return spec;
  }
  static void SetUpTestSuite() {
    compiler::PlanningHooks hooks;
    hooks.progress = [](const compiler::PlanningProgress& p) {
      if (stages->empty() || stages->back().first != p.stage) stages->emplace_back(p.stage, 0);
      stages->back().second = p.done;
    };
    stages = new std::vector<std::pair<std::string, double>>;
    plan = new TrainingPlan(plan_training(kModel, spec(), hooks));
    server = new Bytes;
    client = new Bytes;
    write_training_plan(Sink(*server), *plan, wire::Kind::plan);
    write_training_plan(Sink(*client), *plan, wire::Kind::client);
  }
  static void TearDownTestSuite() {
    delete plan;
    delete stages;
    delete server;
    delete client;
  }
  static TrainingPlan* plan;
  static std::vector<std::pair<std::string, double>>* stages;  // of its making, and how far each came
  static Bytes *server, *client;
};

TrainingPlan* BodyPlan::plan = nullptr;
std::vector<std::pair<std::string, double>>* BodyPlan::stages = nullptr;
Bytes *BodyPlan::server = nullptr, *BodyPlan::client = nullptr;

TEST_F(BodyPlan, RunsLayersThatStayOnceAndLeavesTheHeadToTheSteps) {
  ASSERT_TRUE(plan->body && plan->body->plan);
  const Body& body = *plan->body;
  EXPECT_EQ(body.client.io.outputs, 392);
  const int rescales = mask_rescales(body, plan->levels.bootstrapping);
  EXPECT_GT(rescales, 0);
  EXPECT_GE(body.plan->output().level.limbs, plan->levels.bootstrapping.input_limbs() + rescales);
  EXPECT_LE(body.plan->prediction.score_error, 0.05 * body.plan->prediction.spread);
  EXPECT_EQ(plan->arrangement.tile, body.client.tile);
  EXPECT_EQ(plan->arrangement.images_per_group(), body.client.batch);
  EXPECT_EQ(plan->step.value(plan->step.images).size(), 392U);
  EXPECT_EQ(plan->step.parameters.size(), 2U);
  EXPECT_EQ(plan->step.parameters.front().initial.size(), 5U * 392U);
}

TEST_F(BodyPlan, TellsHowItsMakingGoesOn) {
  const std::vector<std::pair<std::string, double>> expected{{"features", 1}, {"ranges", 1},    {"float model", 1},
                                                             {"values", 1},   {"precision", 0}, {"prediction", 1}};
  EXPECT_EQ(*stages, expected);
}

TEST_F(BodyPlan, EveryKeyIsWithinTheSecurityTable) {
  EXPECT_EQ(ckks::Parameters::create(plan->parameters).security_bits(), 128);
  EXPECT_NO_THROW(ckks::require_secure(plan->parameters, all_keys_of(*plan)));
  const ckks::KeyRequest all = all_keys_of(*plan);
  EXPECT_GT(all.keys.size(), plan->keys.keys.size());
  for (const ckks::KeyShape& wanted : ckks::shapes_of(plan->body->client.keys))
    EXPECT_TRUE(std::ranges::any_of(ckks::shapes_of(all), [&](const auto& k) { return k.serves(wanted); }));
}

TEST_F(BodyPlan, ComesBackFromBothFilesAndOnlyTheServersHasTheBody) {
  const TrainingPlan here = read_training_plan(Source(*server), wire::Kind::plan),
                     there = read_training_plan(Source(*client), wire::Kind::client);
  EXPECT_EQ(here.id, plan->id);
  EXPECT_EQ(there.id, plan->id);
  EXPECT_TRUE(here.body->plan.has_value());
  EXPECT_FALSE(there.body->plan.has_value());
  EXPECT_EQ(there.body->standard.mean, plan->body->standard.mean);
  EXPECT_EQ(program::digest_of(pack_features(here)), program::digest_of(pack_features(there)));
  EXPECT_EQ(memory_of(here, lower(here)), memory_of(there, lower(there)));
}

TEST_F(BodyPlan, HasTheSameIdentityHoweverManyThreadsThereAre) {
  for (const std::size_t threads : {1, 3}) {
    const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, threads);
    EXPECT_EQ(plan_training(kModel, spec()).id, plan->id) << threads;
  }
}

TEST_F(BodyPlan, RefusesPartsThatDoNotFitEachOther) {
  const auto refused = [](const TrainingPlan& changed, wire::Kind kind, const char* why) {
    Bytes bytes;
    write_training_plan(Sink(bytes), changed, kind);
    return test::refuses([&] { return read_training_plan(Source(bytes), kind); }, {why});
  };
  TrainingPlan other = *plan;
  other.body->range *= 2;
  EXPECT_TRUE(refused(other, wire::Kind::client, "identity"));
  other = *plan;
  other.body->standard.deviation[3] = 0;
  EXPECT_TRUE(refused(other, wire::Kind::client, "deviation"));
  other = *plan;
  other.body->standard.mean.pop_back();
  EXPECT_TRUE(refused(other, wire::Kind::client, "mean"));
  other = *plan;
  other.body->client.batch /= 2;
  EXPECT_TRUE(refused(other, wire::Kind::plan, "batch and tile"));
  const auto with_client = [&](auto change) {
    TrainingPlan changed = *plan;
    change(changed.body->client);
    changed.id = plan_id(changed);  // whoever writes such a file gives it an identity that fits
    return refused(changed, wire::Kind::client, "parts");
  };
  EXPECT_TRUE(with_client([](plan::ClientSpec& c) { c.output_level = 1; }));
  EXPECT_TRUE(with_client([](plan::ClientSpec& c) { c.output_scale = 0x1p120; }));
  EXPECT_TRUE(with_client([](plan::ClientSpec& c) { c.io.mean[0] += 1; }));
  EXPECT_TRUE(with_client([](plan::ClientSpec& c) { c.parameters.ciphertext_primes += 20; }));
  EXPECT_TRUE(with_client([](plan::ClientSpec& c) { c.parameters.prime_bits = 47; }));
  other = *plan;
  other.body->client.network = "another.onnx";  // not that of the plan beside it
  EXPECT_TRUE(refused(other, wire::Kind::plan, "parts"));
}

TEST_F(BodyPlan, FeaturesOfTheFloatNetworkAreOfOneSize) {
  std::vector<training::Example> examples(3);
  for (std::size_t i = 0; i < examples.size(); ++i) examples[i].image.assign(28 * 28, 0.3 * static_cast<double>(i));
  examples = seen_by_step(*plan, std::move(examples));
  for (const training::Example& e : examples) {
    ASSERT_EQ(e.image.size(), 392U);
    for (double v : e.image) EXPECT_LT(std::abs(v), plan->body->range);
  }
}

// An adapter of the second convolution: what it reads, every second pixel of four maps, and what it makes, eight maps,
// lie in tiles that they do not fill.
class MapBodyPlan : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    Spec spec;
    spec.new_head = 5;
    spec.adapters = {{"conv2", 2}};
    spec.batch = 1000;
    spec.steps = 2;
    plan = new TrainingPlan(plan_training(kModel, spec));
  }
  static void TearDownTestSuite() { delete plan; }
  static TrainingPlan* plan;
};

TrainingPlan* MapBodyPlan::plan = nullptr;

TEST_F(MapBodyPlan, EndsInMapsThatLieAsTheStepsImages) {
  ASSERT_TRUE(plan->body && plan->body->plan);
  EXPECT_TRUE(plan->body->maps);
  const plan::Layout& made = plan->body->plan->output().layout;
  EXPECT_EQ(static_cast<const training::Shape&>(made), (training::Shape{12, 7, 7}));
  EXPECT_EQ(made, plan->arrangement.layouts[static_cast<std::size_t>(plan->step.images)]);
  EXPECT_EQ(plan->arrangement.images_per_group(), plan->body->client.batch);
  EXPECT_LE(plan->body->plan->prediction.score_error, 0.05 * plan->body->plan->prediction.spread);
  EXPECT_EQ(pack_features(*plan).outputs.size(), 12U);
  EXPECT_EQ(ckks::Parameters::create(plan->parameters).security_bits(), 128);
}

TEST_F(MapBodyPlan, ComesBackFromBothFiles) {
  Bytes server, client;
  write_training_plan(Sink(server), *plan, wire::Kind::plan);
  write_training_plan(Sink(client), *plan, wire::Kind::client);
  const TrainingPlan here = read_training_plan(Source(server), wire::Kind::plan),
                     there = read_training_plan(Source(client), wire::Kind::client);
  EXPECT_EQ(here.id, plan->id);
  EXPECT_EQ(there.id, plan->id);
  EXPECT_EQ(here.spec.adapters.front().rank, 2);
  EXPECT_EQ(program::digest_of(pack_features(here)), program::digest_of(pack_features(there)));
}

TEST_F(MapBodyPlan, APlanThatEndsInAMapIsNoneForInference) {
  Bytes bytes;
  plan::write_plan(Sink(bytes), *plan->body->plan);
  EXPECT_NO_THROW((void)plan::read_plan(Source(bytes), true));
  EXPECT_TRUE(test::refuses([&] { (void)plan::read_plan(Source(bytes)); }, {"vector of scores"}));
}

TEST_F(MapBodyPlan, TimesArePredicted) {
  const LoweredStep lowered = lower(*plan);
  plan::Speed slow = plan::kTypicalSpeed;
  const double step = seconds_per_step(*plan, lowered, slow), features = feature_seconds(*plan, lowered, slow);
  EXPECT_GT(step, 1);
  EXPECT_GT(features, 1);
  slow.transform *= 2;
  EXPECT_GT(seconds_per_step(*plan, lowered, slow), step);
  EXPECT_GT(feature_seconds(*plan, lowered, slow), features);
  TrainingPlan owners = *plan;
  owners.body->plan.reset();
  EXPECT_EQ(feature_seconds(owners, lowered, slow), 0);
}

TEST_F(MapBodyPlan, MapsThatLieElsewhereAreRefused) {
  TrainingPlan changed = *plan;
  EXPECT_NO_THROW(require_maps_in_place(changed));
  changed.body->plan->tensors[static_cast<std::size_t>(changed.body->plan->steps.back().output)].layout.gap = 3;
  EXPECT_TRUE(test::refuses([&] { require_maps_in_place(changed); }, {"maps"}));
}

}  // namespace
}  // namespace sotto::lowering
