// Trainings as users of the library see them, up to what is encrypted; examples/06_training.cpp goes the whole way.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "graph/interpreter.h"
#include "sotto/encryptor.h"
#include "sotto/trainer.h"
#include "sotto/training_client.h"
#include "support/expect_error.h"
#include "support/onnx_builder.h"
#include "support/values.h"

namespace sotto {
namespace {

using ::testing::ElementsAre;

constexpr std::size_t kImages = 70, kEach = 4 * 4, kClasses = 3;
constexpr const char* kSpec = "batch = 64\nsteps = 2\nrange = 2\n[optimiser]\nrate = 0.1\nmomentum = 0.9\n";

// A dense layer on images of 4 x 4.
class TrainingLibrary : public ::testing::Test {
 protected:
  TrainingLibrary() {
    test::OnnxBuilder m({-1, 1, 4, 4});
    const std::vector<double> w = test::random_values(kEach * kClasses, 1, 0.3);
    m.constant("w", {kEach, kClasses}, {w.begin(), w.end()});
    m.node("Flatten", {"x"}, "f");
    m.node("MatMul", {"f", "w"}, "y");
    m.metadata("sotto.mean", "0");
    m.metadata("sotto.std", "1");
    model = folder / "dense.onnx";
    test::write_text(model, m.model.SerializeAsString());
    for (std::size_t i = 0; i < kImages; ++i) labels.push_back(static_cast<int>(i % kClasses));
  }

  [[nodiscard]] ImagesView images() const { return {values, 1, 4, 4}; }
  [[nodiscard]] ImagesView images(std::size_t count) const { return {std::span(values).first(count * kEach), 1, 4, 4}; }

  test::TempFolder folder;
  std::filesystem::path model;
  std::vector<double> values = test::random_values(kImages * kEach, 2, 1);
  std::vector<int> labels;
};

TEST_F(TrainingLibrary, TellsWeightsOfPlansAndModels) {
  const TrainingPlan plan = TrainingPlan::compile(model, kSpec);
  const auto expect_same = [](const std::vector<TrainedWeights>& a, const std::vector<TrainedWeights>& b,
                              double tolerance) {
    ASSERT_EQ(a.size(), 2u);
    ASSERT_EQ(b.size(), 2u);
    for (std::size_t k = 0; k < a.size(); ++k) {
      EXPECT_EQ(a[k].layer, b[k].layer);
      EXPECT_EQ(a[k].bias, b[k].bias);
      EXPECT_EQ(a[k].shape, b[k].shape);
      EXPECT_THAT(a[k].values, ::testing::Pointwise(::testing::DoubleNear(tolerance), b[k].values));
    }
  };
  expect_same(plan.weights(), weights_of_model(model), 0);
  // The file with trained weights has the biases in a node of their own, behind the zeros of the layer.
  const TrainingResult r = plan.simulate(images(), labels);
  plan.write_model(folder / "trained.onnx", r.weights);
  const std::vector<TrainedWeights> written = weights_of_model(folder / "trained.onnx");
  ASSERT_EQ(written.size(), 3u);
  EXPECT_THAT(written[0].values, ::testing::Pointwise(::testing::DoubleNear(1e-6), r.weights[0].values));
  EXPECT_TRUE(written[2].bias);
  EXPECT_THAT(written[2].values, ::testing::Pointwise(::testing::DoubleNear(1e-6), r.weights[1].values));
}

TEST_F(TrainingLibrary, SimulatesAndWritesAModel) {
  const TrainingPlan plan = TrainingPlan::compile(model, kSpec);
  EXPECT_EQ(plan.steps(), 2);
  EXPECT_EQ(plan.batch(), 64);
  EXPECT_EQ(plan.range(), 2);
  EXPECT_GT(plan.memory(), plan.key_bytes());
  const ClientSpec spec = plan.client_spec();
  EXPECT_EQ(spec.scores(), 3);
  EXPECT_EQ(spec.mean(), std::vector<double>{0});

  std::vector<std::string> notes, stages;
  const Hooks hooks{.progress = [&](const Progress& p) { stages.push_back(p.stage); },
                    .note = [&](const std::string& text) { notes.push_back(text); }};
  const TrainingResult r = plan.simulate(images(), labels, hooks);
  EXPECT_THAT(notes, ElementsAre("6 images are left over: batches are of 64"));
  EXPECT_THAT(stages, ElementsAre("simulation", "simulation"));
  ASSERT_EQ(r.losses.size(), 2u);
  EXPECT_LT(r.losses[1], r.losses[0]);
  EXPECT_EQ(r.overflow, -1);
  EXPECT_EQ(r.summary, "");
  EXPECT_EQ(r.input_id, "");
  ASSERT_EQ(r.weights.size(), 2u);
  EXPECT_FALSE(r.weights[0].bias);
  EXPECT_THAT(r.weights[0].shape, ElementsAre(3, 16));
  EXPECT_TRUE(r.weights[1].bias);
  EXPECT_THAT(r.weights[1].shape, ElementsAre(3));
  double largest = 0;
  for (const TrainedWeights& w : r.weights) {
    EXPECT_EQ(w.values.size(), std::accumulate(w.shape.begin(), w.shape.end(), 1u, std::multiplies<>()));
    for (double v : w.values) largest = std::max(largest, std::abs(v));
  }
  EXPECT_GE(r.largest_weight, largest);
  EXPECT_GT(r.largest_velocity, 0);
  ASSERT_FALSE(r.peaks.empty());
  EXPECT_EQ(r.peaks.front().value, "images");

  Bytes written;
  plan.write_model(Sink(written), r.weights);
  plan.write_model(folder / "trained.onnx", r.weights);
  EXPECT_EQ(test::read_text(folder / "trained.onnx"), std::string(written.begin(), written.end()));
  const TrainingResult next = TrainingPlan::compile(Source(written), kSpec).simulate(images(), labels);
  EXPECT_LT(next.losses[0], r.losses[1]);
}

TEST_F(TrainingLibrary, ComesBackFromFilesAndMemory) {
  const TrainingPlan plan = TrainingPlan::compile(model, kSpec);
  plan.write(folder / "net.plan");
  Bytes client;
  plan.write_client(Sink(client));
  for (const Source& source : {Source(folder / "net.plan"), Source(client)}) {
    const TrainingPlan back = TrainingPlan::read(source);
    EXPECT_EQ(back.client_spec().plan_id(), plan.client_spec().plan_id());
    EXPECT_EQ(back.simulate(images(), labels).losses, plan.simulate(images(), labels).losses);
  }
}

TEST_F(TrainingLibrary, EncryptsAndRefusesResultsOfOthers) {
  const TrainingPlan plan = TrainingPlan::compile(model, kSpec);
  const SecretKey key = SecretKey::generate();
  const TrainingClient client(plan, key);
  EXPECT_EQ(client.key().id(), key.id());
  Bytes query;
  const std::string id = client.encrypt(images(64), std::span(labels).first(64), Sink(query));
  EXPECT_EQ(id.size(), 32u);
  EXPECT_TRUE(test::refuses([&] { (void)client.decrypt(Source(query)); }));
  std::vector<int> wrong = labels;
  wrong[3] = 3;
  for (const auto& attempt : std::vector<std::function<void()>>{[&] { client.encrypt(images(), wrong, Sink(query)); },
                                                                [&] { (void)plan.simulate(images(), wrong); }})
    EXPECT_TRUE(test::refuses(attempt, {"image 3 has the label 3", "0 to 2"}));
  EXPECT_TRUE(test::refuses([&] { client.encrypt(images(64), labels, Sink(query)); }, {"64 images and 70 labels"}));
  EXPECT_TRUE(
      test::refuses([&] { client.encrypt(images(10), std::span(labels).first(10), Sink(query)); }, {"10", "64"}));
  const std::atomic<bool> stop = true;
  const auto stops = [](const auto& f) { return test::fails_with(f, ErrorCode::interrupted); };
  EXPECT_TRUE(stops([&] { client.encrypt(images(), labels, Sink(query), {.stop = &stop}); }));
  EXPECT_TRUE(stops([&] { (void)plan.simulate(images(), labels, {.stop = &stop}); }));
}

TEST_F(TrainingLibrary, IsNoInference) {
  const TrainingPlan plan = TrainingPlan::compile(model, kSpec);
  const SecretKey key = SecretKey::generate();
  plan.write_client(folder / "net.client");
  Bytes other;
  for (const ClientSpec& spec : {plan.client_spec(), ClientSpec::read(folder / "net.client")}) {
    EXPECT_TRUE(test::fails_with([&] { (void)Client(spec, key); }, ErrorCode::usage, {"client for training"}));
    EXPECT_TRUE(test::fails_with([&] { (void)Encryptor(spec, Source(other)); }, ErrorCode::usage, {"training"}));
    EXPECT_TRUE(test::fails_with([&] { spec.write(Sink(other)); }, ErrorCode::usage, {"training"}));
  }
  const Plan inference = Plan::compile(model, {.images = 1});
  inference.write(Sink(other));
  EXPECT_TRUE(test::refuses([&] { (void)TrainingPlan::read(Source(other)); }, {"not for training"}));
  plan.write(Sink(other));
  EXPECT_TRUE(test::refuses([&] { (void)Plan::read(Source(other)); }, {"for training"}));
}

TEST_F(TrainingLibrary, WeightsThatLeaveTheirRange) {
  std::string spec = kSpec;
  spec.replace(spec.find("0.1"), 3, "100");
  const TrainingResult r = TrainingPlan::compile(model, spec).simulate(images(), labels);
  EXPECT_EQ(r.overflow, 0);
  EXPECT_NE(r.summary.find("step 1"), std::string::npos);
  EXPECT_GT(r.largest_weight, 2);
}

TEST_F(TrainingLibrary, OtherLossesAndNormalEquations) {
  std::string spec = kSpec;
  spec.insert(0, "loss = \"softmax\"\n");
  const TrainingPlan softmax = TrainingPlan::compile(model, spec);
  EXPECT_LT(softmax.simulate(images(), labels).losses[1], softmax.simulate(images(), labels).losses[0]);

  const TrainingPlan plan =
      TrainingPlan::compile(model, "batch = 64\nsteps = 1\n[optimiser]\nname = \"normal-equations\"\n");
  const TrainingResult r = plan.simulate(images(), labels);
  EXPECT_EQ(r.overflow, -1);
  EXPECT_EQ(r.largest_velocity, 0);
  ASSERT_EQ(r.weights.size(), 2u);
  EXPECT_THAT(r.weights[0].shape, ElementsAre(3, 16));
  Bytes written;
  plan.write_model(Sink(written), r.weights);
  EXPECT_LT(TrainingPlan::compile(Source(written), kSpec).simulate(images(), labels).losses[0], r.losses[0]);
  EXPECT_LT(plan.key_bytes(), softmax.key_bytes() / 4) << "no keys of bootstrapping";
  Bytes client;
  plan.write_client(Sink(client));
  EXPECT_EQ(TrainingPlan::read(Source(client)).client_spec().plan_id(), plan.client_spec().plan_id());
}

TEST_F(TrainingLibrary, SpecsThatMakeNoSense) {
  EXPECT_TRUE(
      test::refuses([&] { (void)TrainingPlan::compile(model, "batch = 5\n", "my.toml"); }, {"my.toml", "steps"}));
  EXPECT_TRUE(test::fails_with([&] { (void)Trainer(TrainingPlan::compile(model, kSpec), {.memory = 1000}); },
                               ErrorCode::no_resources, {"1000 B"}));
}

}  // namespace
}  // namespace sotto
