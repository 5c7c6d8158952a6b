// What a training found, for programs and as a page: nothing is invented where figures are missing.
#include "report/training.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/markup.h"

namespace sotto::report {
namespace {

const std::string kEvil = "<script>alert(\"1\")</script>'&\x01\xff";

Training made_up(int steps) {
  Training t;
  t.network = "small.onnx";
  t.dataset = "digits";
  t.layers = {"conv", "dense"};
  t.weights = 1234;
  t.batch = 64;
  t.images = 1000;
  t.batches = 15;
  t.accuracy_before = 0.125;
  t.test_images = 200;
  t.range = 4;
  for (int i = 0; i < steps; ++i)
    t.steps.push_back({.loss = 1.001 / (i + 2),
                       .float_loss = 1.0 / (i + 2),
                       .accuracy = 0.5,
                       .float_accuracy = 0.75,
                       .weight_relative_error = 1e-6 * (i + 1),
                       .seconds = i == 0 ? 0 : 2.5});
  t.training_seconds = 100;
  t.seconds_per_step = 2.5;
  t.seconds_by_kind = {{"bootstrap", 1.5}, {"product", 1}};
  t.peak_rss_bytes = t.predicted_peak_bytes = std::uint64_t{5} << 30;
  t.eval_key_bytes = t.input_bytes = t.output_bytes = 1 << 20;
  t.bootstraps_per_step = 3;
  t.security_bits = 128;
  t.ring_dimension = 65536;
  t.log2_qp = 1700.5;
  t.kernels = "avx2";
  return t;
}

void expect_sound(const std::string& page) {
  const std::string text = page.substr(page.find("<body>"), page.find("</html>") - page.find("<body>"));
  EXPECT_EQ(test::unbalanced(text), "");
  EXPECT_EQ(page.find("<script"), std::string::npos);
  EXPECT_EQ(page.find("nan"), std::string::npos);
  EXPECT_EQ(page.find(">inf"), std::string::npos);
  EXPECT_TRUE(test::found(page, "(https?:|url\\(|(src|href)=)").empty());
}

TEST(TrainingJson, EncryptedTraining) {
  const nlohmann::json j = to_json(made_up(3));
  EXPECT_EQ(j["steps"], 3);
  EXPECT_EQ(j["batch"], 64);
  EXPECT_EQ(j["simulated"], false);
  EXPECT_EQ(j["accuracy_before"], 0.125);
  EXPECT_EQ(j["accuracy"], 0.5);
  EXPECT_EQ(j["float_accuracy"], 0.75);
  EXPECT_DOUBLE_EQ(j["weight_relative_error"], 3e-6);
  EXPECT_EQ(j["loss_source"], "decrypted");
  EXPECT_EQ(j["loss"][0], 0.5005);
  EXPECT_EQ(j["float_loss"][0], 0.5);
  EXPECT_EQ(j["step_seconds"], (nlohmann::json{nullptr, 2.5, 2.5}));
  EXPECT_EQ(j["overflow_step"], nullptr);
  EXPECT_EQ(j["seconds_by_kind"]["bootstrap"], 1.5);
  for (const char* key :
       {"seconds_per_step", "feature_seconds", "training_seconds", "peak_rss_bytes", "bootstraps_per_step",
        "security_bits", "log2_qp", "eval_key_bytes", "input_bytes", "output_bytes"})
    EXPECT_TRUE(j[key].is_number()) << key;
  for (const char* key : {"loss", "float_loss", "accuracies", "float_accuracies", "weight_relative_errors"})
    EXPECT_EQ(j[key].size(), 3u) << key;
}

// What the float twin alone leaves of it.
Training simulated(int steps) {
  Training t = made_up(steps);
  t.simulated = true;
  for (TrainingStep& s : t.steps) s.weight_relative_error = {};
  return t;
}

TEST(TrainingJson, DistancesOfATwinWithNoise) {
  Training t = simulated(2);
  EXPECT_EQ(to_json(t)["noise"], nullptr);
  t.noise = 1e-5;
  t.steps[1].weight_relative_error = 0.25;
  const nlohmann::json j = to_json(t);
  EXPECT_EQ(j["noise"], 1e-5);
  EXPECT_EQ(j["weight_relative_error"], 0.25);
  EXPECT_EQ(j["weight_relative_errors"], (nlohmann::json{nullptr, 0.25}));
}

TEST(TrainingJson, Simulated) {
  const Training t = simulated(2);
  const nlohmann::json j = to_json(t);
  EXPECT_EQ(j["loss_source"], "float twin");
  EXPECT_EQ(j["loss"], j["float_loss"]);
  EXPECT_EQ(j["float_accuracy"], 0.75);
  EXPECT_EQ(j["accuracy_before"], 0.125);
  for (const char* key : {"accuracy", "weight_relative_error", "seconds_per_step", "feature_seconds",
                          "training_seconds", "seconds_by_kind", "peak_rss_bytes", "eval_key_bytes", "input_bytes",
                          "output_bytes", "bootstraps_per_step", "security_bits", "log2_qp", "cpu_kernels"})
    EXPECT_EQ(j.at(key), nullptr) << key;
  EXPECT_EQ(j["accuracies"], (nlohmann::json{nullptr, nullptr}));
}

TEST(TrainingJson, MissingNumbersAreNull) {
  const double bad = std::numeric_limits<double>::quiet_NaN();
  Training t = made_up(2);
  t.steps[1] = {
      .loss = HUGE_VAL, .float_loss = bad, .accuracy = {}, .float_accuracy = bad, .weight_relative_error = {}};
  t.largest_weight = HUGE_VAL;
  t.seconds_by_kind["odd"] = bad;
  t.overflow = 1;
  const nlohmann::json j = to_json(t);
  EXPECT_EQ(j["loss"], (nlohmann::json{0.5005, nullptr}));
  EXPECT_EQ(j["float_loss"], (nlohmann::json{0.5, nullptr}));
  for (const char* key : {"accuracy", "float_accuracy", "weight_relative_error", "largest_weight"})
    EXPECT_EQ(j.at(key), nullptr) << key;
  EXPECT_EQ(j["seconds_by_kind"]["odd"], nullptr);
  EXPECT_EQ(j["overflow_step"], 1);
  EXPECT_EQ(to_json({})["loss"], nlohmann::json::array());
  EXPECT_EQ(to_json({})["accuracy"], nullptr);
}

TEST(TrainingPage, AnyNumberOfSteps) {
  for (int steps : {0, 1, 2, 80, 10000}) {
    const std::string page = training_page(made_up(steps));
    expect_sound(page);
    EXPECT_LT(page.size(), 600000u) << steps;
    EXPECT_EQ(page.find("class=\"warning\""), std::string::npos);
  }
  EXPECT_EQ(test::found(training_page(made_up(80)), "<svg").size(), 4u);
}

TEST(TrainingPage, NothingIsKnown) {
  for (bool simulated : {false, true}) {
    Training t;
    t.simulated = simulated;
    expect_sound(training_page(t));
    t.steps.resize(3);
    t.steps[1].float_loss = HUGE_VAL;
    const std::string page = training_page(t);
    expect_sound(page);
    EXPECT_NE(page.find("unknown"), std::string::npos);
  }
}

TEST(TrainingPage, Simulated) {
  Training t = simulated(5);
  const std::string page = training_page(t);
  expect_sound(page);
  EXPECT_NE(page.find("nothing was encrypted"), std::string::npos);
  EXPECT_EQ(test::found(page, "<svg").size(), 2u) << "loss and accuracy";
  EXPECT_EQ(test::found(page, "<path[^>]*class=\"curve0\"").size(), 0u) << "lines of encrypted training";
  EXPECT_EQ(page.find("peak memory"), std::string::npos);
  t.steps.back().weight_relative_error = 1e-3;
  EXPECT_NE(training_page(t).find("weights with simulated errors"), std::string::npos);
}

TEST(TrainingPage, WarnsOfResultsThatMeanNothing) {
  Training t = made_up(10);
  t.overflow = 3;
  for (std::size_t i = 3; i < t.steps.size(); ++i) t.steps[i].loss = 1e40;
  const std::string page = training_page(t);
  expect_sound(page);
  EXPECT_NE(page.find("<h2>Results from step 4 on mean nothing</h2>"), std::string::npos);
  EXPECT_LT(page.find("class=\"warning\""), page.find("class=\"tiles\""));
  EXPECT_EQ(page.find(">1e+40<"), std::string::npos) << "noise must not set the axis";
  t.overflow = 0;
  expect_sound(training_page(t));
}

TEST(TrainingPage, NormalEquationsHaveNoRange) {
  Training t = made_up(3);
  t.range = HUGE_VAL;
  std::string page = training_page(t);
  expect_sound(page);
  EXPECT_EQ(to_json(t)["range"], nullptr);
  t.overflow = 1;
  page = training_page(t);
  expect_sound(page);
  EXPECT_NE(page.find("larger ridge"), std::string::npos);
}

TEST(TrainingPage, NamesCannotBreakOut) {
  Training t = made_up(2);
  t.network = t.dataset = t.kernels = kEvil;
  t.layers = {kEvil, std::string(5000, '<')};
  t.seconds_by_kind = {{kEvil, 1}};
  const std::string page = training_page(t);
  expect_sound(page);
  EXPECT_NE(page.find("&lt;script&gt;"), std::string::npos);
}

}  // namespace
}  // namespace sotto::report
