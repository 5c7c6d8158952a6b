// The public library as its users see it: both halves, in memory and in files.
#include <gtest/gtest.h>

#include <cmath>
#include <sstream>

#include "graph/interpreter.h"
#include "sotto/client.h"
#include "sotto/encryptor.h"
#include "sotto/server.h"
#include "support/expect_error.h"
#include "support/onnx_builder.h"
#include "support/values.h"

namespace sotto {
namespace {

constexpr std::size_t kEach = 1 * 8 * 8;

// A convolution, a square, a mean and a dense layer.
class Library : public ::testing::Test {
 protected:
  Library() {
    test::OnnxBuilder m({-1, 1, 8, 8});
    const auto weights = [](std::size_t count, unsigned seed) {
      const std::vector<double> v = test::random_values(count, seed, 0.5);
      return std::vector<float>(v.begin(), v.end());
    };
    m.constant("a", {5, 1, 3, 3}, weights(5 * 9, 1));
    m.constant("b", {5, 3}, weights(5 * 3, 2));
    m.node("Conv", {"x", "a"}, "h");
    m.node("Mul", {"h", "h"}, "s");
    m.node("GlobalAveragePool", {"s"}, "p");
    m.node("Flatten", {"p"}, "f");
    m.node("MatMul", {"f", "b"}, "y");
    m.metadata("sotto.mean", "0.5");
    m.metadata("sotto.std", "0.25");
    network = m.import();
    model = folder / "small.onnx";
    test::write_text(model, m.model.SerializeAsString());
  }

  // Of the float network, for preprocessed values.
  [[nodiscard]] std::vector<double> exact(const std::vector<double>& values) const {
    std::vector<double> all;
    for (std::size_t k = 0; k < values.size(); k += kEach)
      for (double s : graph::evaluate(network, std::span(values).subspan(k, kEach))) all.push_back(s);
    return all;
  }

  static void expect_near(const Results& r, const std::vector<double>& scores) {
    ASSERT_EQ(r.scores.size(), scores.size());
    for (std::size_t k = 0; k < scores.size(); ++k) EXPECT_NEAR(r.scores[k], scores[k], 1e-3) << k;
  }

  test::TempFolder folder;
  graph::Network network;
  std::filesystem::path model;
};

TEST_F(Library, FromModelToScoresInMemory) {
  const Plan plan = Plan::compile(model, {.images = 4});
  EXPECT_GE(plan.predicted_agreement(), 0.995);
  EXPECT_GT(plan.seconds(), 0);
  EXPECT_GE(plan.memory(), plan.least_memory());
  const std::vector<Layer> layers = plan.layers();
  ASSERT_FALSE(layers.empty());
  EXPECT_EQ(layers.front().kind, LayerKind::square);
  EXPECT_EQ(layers.back().kind, LayerKind::sum);
  EXPECT_EQ(layers.back().channels, 3);
  std::uint64_t peak = 0;
  for (std::size_t k = 0; k < layers.size(); ++k) {
    EXPECT_FALSE(layers[k].name.empty());
    EXPECT_GT(layers[k].seconds, 0);
    EXPECT_GE(layers[k].ciphertexts, 1u);
    if (k > 0) {
      EXPECT_LT(layers[k].limbs, layers[k - 1].limbs);
    }
    peak = std::max(peak, layers[k].memory);
  }
  EXPECT_EQ(peak, plan.memory());
  const Client client(plan.client_spec(), SecretKey::generate());
  EXPECT_EQ(client.spec().scores(), 3);
  Bytes keys, query, reply;
  client.write_evaluation_keys(Sink(keys));
  Server server(plan);
  EvaluationKeys opened = server.open_keys(Source(keys));
  EXPECT_EQ(opened.key_id(), client.key().id());
  for (unsigned seed : {1, 2}) {  // model and keys are kept between inputs
    const std::vector<double> values = test::random_values(6 * kEach, seed, 1);
    const std::string id = client.encrypt(ImagesView(values, 1, 8, 8), Sink(query));
    const InferenceReport report = server.infer(Source(query), opened, Sink(reply));
    EXPECT_EQ(report.images, 6u);
    const Results results = client.decrypt(Source(reply));
    EXPECT_EQ(results.images, 6u);
    EXPECT_EQ(results.input_id, id);
    EXPECT_EQ(results.summary, "");
    const std::vector<double> scores = exact(values);
    expect_near(results, scores);
    for (std::size_t k = 0; k < 6; ++k)
      EXPECT_EQ(results.labels[k], std::max_element(&scores[3 * k], &scores[3 * k] + 3) - &scores[3 * k]);
  }
}

TEST_F(Library, BytesArePixels) {
  const Plan plan = Plan::compile(model, {.images = 4});
  const Client client(plan.client_spec(), SecretKey::generate());
  std::vector<std::uint8_t> pixels(2 * kEach);
  std::vector<double> values;
  for (std::size_t k = 0; k < pixels.size(); ++k) {
    pixels[k] = static_cast<std::uint8_t>(7 * k);
    values.push_back((pixels[k] / 255.0 - 0.5) / 0.25);
  }
  const std::vector<float> floats(values.begin(), values.end());
  Server server(plan);
  Bytes keys, query, reply;
  client.write_evaluation_keys(Sink(keys));
  EvaluationKeys opened = server.open_keys(Source(keys));
  for (const ImagesView& images : {ImagesView(pixels, 1, 8, 8), ImagesView(floats, 1, 8, 8)}) {
    client.encrypt(images, Sink(query));
    server.infer(Source(query), opened, Sink(reply));
    expect_near(client.decrypt(Source(reply)), exact(values));
  }
}

// Small and large batches have different rings.
TEST_F(Library, ResultsForOthers) {
  const Plan plan = Plan::compile(model, {.images = 4});
  const Client client(plan.client_spec(), SecretKey::generate());
  Bytes keys, query, reply;
  client.write_evaluation_keys(Sink(keys));
  const std::vector<double> values = test::random_values(4 * kEach, 3, 1);
  client.encrypt(ImagesView(values, 1, 8, 8), Sink(query));
  Server server(plan);
  EvaluationKeys opened = server.open_keys(Source(keys));
  server.infer(Source(query), opened, Sink(reply));
  const PublishOptions options{.what = Published::scores, .key_bits = 110};
  const Publication p = client.publish(Source(reply), folder.path(), options);
  const std::vector<double> scores = exact(values);
  ASSERT_EQ(p.scores.size(), scores.size());
  EXPECT_EQ(p.labels.size(), 4u);
  for (std::size_t k = 0; k < scores.size(); ++k) EXPECT_NEAR(p.scores[k], scores[k], 8 * p.deviation) << k;
  EXPECT_NE(p.scores, client.decrypt(Source(reply)).scores);
  EXPECT_GE(p.key_bits, 110);
  EXPECT_EQ(client.publish(Source(reply), folder.path(), options).scores, p.scores);
  EXPECT_TRUE(test::fails_with([&] { (void)client.publish(Source(reply), folder.path()); }, ErrorCode::usage));
  EXPECT_TRUE(test::fails_with([&] { (void)client.publish(Source(reply), folder.path(), {.releases = 0}); },
                               ErrorCode::usage, {"at least one"}));
}

TEST_F(Library, LevelsOfSecurity) {
  EXPECT_EQ(Plan::compile(model, {.images = 4}).client_spec().security(), Security::classical128);
  for (const Security level : {Security::classical192, Security::quantum128}) {
    const Plan plan = Plan::compile(model, {.images = 4, .security = level});
    Bytes written;
    plan.client_spec().write(Sink(written));
    EXPECT_EQ(ClientSpec::read(Source(written)).security(), level);
  }
}

TEST_F(Library, OneSecretKeyServesAllPlansInFilesToo) {
  const SecretKey secret = SecretKey::generate();
  secret.write(folder / "my.key");
  EXPECT_EQ(SecretKey::read(folder / "my.key").id(), secret.id());
  std::set<int> batches;
  for (int images : {1, 40000}) {
    Plan::compile(model, {.images = images}).write(folder / "a.plan");
    const Plan plan = Plan::read(folder / "a.plan");
    batches.insert(plan.batch());
    plan.client_spec().write(folder / "a.client");
    const Client client(ClientSpec::read(folder / "a.client"), SecretKey::read(folder / "my.key"));
    client.write_evaluation_keys(folder / "a.key");
    const std::vector<double> values = test::random_values(kEach, 3, 1);
    client.encrypt(ImagesView(values, 1, 8, 8), folder / "in");
    Server server(plan);
    EvaluationKeys keys = server.open_keys(folder / "a.key");
    server.infer(folder / "in", keys, folder / "out");
    expect_near(client.decrypt(folder / "out"), exact(values));
  }
  EXPECT_EQ(batches.size(), 2u);
}

// Plans of one ring share keys, those of another ring have their own in the same bytes.
TEST_F(Library, KeysOfSeveralPlansInOne) {
  const SecretKey secret = SecretKey::generate();
  std::vector<Plan> plans;
  std::vector<ClientSpec> specs;
  std::size_t alone = 0;
  for (int images : {1, 300, 40000}) {
    plans.push_back(Plan::compile(model, {.images = images}));
    specs.push_back(plans.back().client_spec());
    Bytes keys;
    Client(specs.back(), secret).write_evaluation_keys(Sink(keys));
    alone += keys.size();
  }
  Bytes keys;
  write_evaluation_keys(specs, secret, Sink(keys));
  EXPECT_LT(keys.size(), alone);
  const std::vector<double> values = test::random_values(kEach, 3, 1);
  for (std::size_t k = 0; k < plans.size(); ++k) {
    const Client client(specs[k], secret);
    Server server(plans[k]);
    EvaluationKeys opened = server.open_keys(Source(keys));
    Bytes query, reply;
    client.encrypt(ImagesView(values, 1, 8, 8), Sink(query));
    server.infer(Source(query), opened, Sink(reply));
    expect_near(client.decrypt(Source(reply)), exact(values));
  }
  EXPECT_TRUE(test::fails_with([&] { write_evaluation_keys({}, secret, Sink(keys)); }, ErrorCode::usage));
}

TEST_F(Library, WhatDoesNotBelongTogetherIsRefused) {
  const Plan plan = Plan::compile(model, {.images = 1}), other = Plan::compile(model, {.images = 40000});
  const Client client(plan.client_spec(), SecretKey::generate()), stranger(plan.client_spec(), SecretKey::generate()),
      elsewhere(other.client_spec(), client.key());
  Bytes keys, few_keys, query, reply;
  client.write_evaluation_keys(Sink(keys));
  elsewhere.write_evaluation_keys(Sink(few_keys));
  Server server(plan);
  EXPECT_TRUE(test::fails_with([&] { (void)server.open_keys(Source(few_keys)); }, ErrorCode::wrong_key, {"this plan"}));
  const std::vector<double> values = test::random_values(kEach, 3, 1);
  const ImagesView images(values, 1, 8, 8);
  stranger.encrypt(images, Sink(query));
  EvaluationKeys opened = server.open_keys(Source(keys));
  EXPECT_TRUE(test::fails_with([&] { server.infer(Source(query), opened, Sink(reply)); }, ErrorCode::wrong_key));
  client.encrypt(images, Sink(query));
  EvaluationKeys of_another_plan = Server(other).open_keys(Source(few_keys));
  EXPECT_TRUE(test::fails_with([&] { server.infer(Source(query), of_another_plan, Sink(reply)); }, ErrorCode::usage,
                               {"another plan"}));
  server.infer(Source(query), opened, Sink(reply));
  EXPECT_TRUE(test::fails_with([&] { (void)stranger.decrypt(Source(reply)); }, ErrorCode::wrong_key));
  EXPECT_TRUE(test::fails_with([&] { (void)elsewhere.decrypt(Source(reply)); }, ErrorCode::wrong_key));
}

// The owner makes keys, someone else encrypts, a server computes, the owner decrypts.
TEST_F(Library, SomeoneElseEncrypts) {
  const Plan plan = Plan::compile(model, {.images = 4});
  const Client owner(plan.client_spec(), SecretKey::generate());
  Bytes keys, public_key, query, own, reply;
  owner.write_evaluation_keys(Sink(keys));
  owner.write_public_key(Sink(public_key));
  const Encryptor encryptor(plan.client_spec(), Source(public_key));
  EXPECT_EQ(encryptor.key_id(), owner.key().id());
  EXPECT_EQ(encryptor.spec().plan_id(), owner.spec().plan_id());
  const std::vector<double> values = test::random_values(6 * kEach, 1, 1);
  const ImagesView images(values, 1, 8, 8);
  const std::string id = encryptor.encrypt(images, Sink(query));
  owner.encrypt(images, Sink(own));
  EXPECT_GT(query.size(), own.size() * 19 / 10);
  Server server(plan);
  EvaluationKeys opened = server.open_keys(Source(keys));
  server.infer(Source(query), opened, Sink(reply));
  const Results results = owner.decrypt(Source(reply));
  EXPECT_EQ(results.input_id, id);
  EXPECT_EQ(results.summary, "");
  expect_near(results, exact(values));
  server.infer(Source(own), opened, Sink(reply));
  EXPECT_EQ(results.labels, owner.decrypt(Source(reply)).labels);
}

// The server signs, the client refuses what is not signed or belongs to another input.
TEST_F(Library, ResultsAreSigned) {
  const SigningKey key = SigningKey::generate(), other = SigningKey::generate();
  key.write(folder / "server.key");
  const std::string signer = SigningKey::read(folder / "server.key").verification_key();
  EXPECT_EQ(signer, key.verification_key());
  EXPECT_TRUE(test::fails_with([&] { key.write(folder / "server.key"); }, ErrorCode::usage));
  const Plan plan = Plan::compile(model, {.images = 1, .signer = signer}), open = Plan::compile(model, {.images = 1});
  EXPECT_EQ(plan.client_spec().signer(), signer);
  EXPECT_EQ(open.client_spec().signer(), "");
  EXPECT_NE(plan.client_spec().plan_id(), open.client_spec().plan_id()) << "the identity binds it";
  Bytes spec;
  plan.client_spec().write(Sink(spec));
  EXPECT_EQ(ClientSpec::read(Source(spec)).signer(), signer);
  EXPECT_TRUE(test::fails_with([&] { (void)Plan::compile(model, {.signer = "x"}); }, ErrorCode::usage, {"'x'"}));
  EXPECT_TRUE(test::fails_with([&] { Server server(plan); }, ErrorCode::usage, {signer}));
  EXPECT_TRUE(test::fails_with([&] { Server server(plan, {.signing_key = other}); }, ErrorCode::wrong_key, {signer}));

  const Client client(plan.client_spec(), SecretKey::generate());
  Bytes keys, query, second, reply, another;
  client.write_evaluation_keys(Sink(keys));
  const std::vector<double> values = test::random_values(kEach, 1, 1);
  const std::string id = client.encrypt(ImagesView(values, 1, 8, 8), Sink(query)),
                    other_id = client.encrypt(ImagesView(values, 1, 8, 8), Sink(second));
  Server server(plan, {.signing_key = key});
  EvaluationKeys opened = server.open_keys(Source(keys));
  server.infer(Source(query), opened, Sink(reply));
  server.infer(Source(second), opened, Sink(another));
  const Results results = client.decrypt(Source(reply), {.origin = {.input_id = id, .signer = signer}});
  expect_near(results, exact(values));
  EXPECT_EQ(results.input_id, id);
  EXPECT_EQ(results.input_signer.size(), 64u);
  const auto refused = [&](const Bytes& bytes, const Origin& origin, ErrorCode code = ErrorCode::wrong_key) {
    return test::fails_with([&] { (void)client.decrypt(Source(bytes), {.origin = origin}); }, code);
  };
  EXPECT_TRUE(refused(another, {.input_id = id})) << "results of another input";
  EXPECT_TRUE(refused(reply, {.signer = other.verification_key()}));
  EXPECT_TRUE(refused(reply, {.input_signer = other.verification_key()}));
  EXPECT_TRUE(refused(reply, {.signer = "nonsense"}, ErrorCode::usage));
  Bytes forged = reply;
  forged.back() ^= 1;
  EXPECT_TRUE(refused(forged, {}));
}

// Nobody can tell from the ciphertexts, but from who signed.
TEST_F(Library, WhoEncrypted) {
  const Plan plan = Plan::compile(model, {.images = 1});
  const Client owner(plan.client_spec(), SecretKey::generate());
  Bytes keys, public_key, query, reply;
  owner.write_evaluation_keys(Sink(keys));
  owner.write_public_key(Sink(public_key));
  const std::vector<double> values = test::random_values(kEach, 1, 1);
  const ImagesView images(values, 1, 8, 8);
  const SigningKey key = SigningKey::generate();
  Server server(plan), strict(plan, {.owners_only = true});
  EvaluationKeys opened = server.open_keys(Source(keys)), again = strict.open_keys(Source(keys));
  const auto encrypted_by = [&](const std::optional<SigningKey>& signer) {
    Encryptor(plan.client_spec(), Source(public_key), signer).encrypt(images, Sink(query));
    EXPECT_TRUE(test::fails_with([&] { strict.infer(Source(query), again, Sink(reply)); }, ErrorCode::wrong_key));
    server.infer(Source(query), opened, Sink(reply));
    return owner.decrypt(Source(reply)).input_signer;
  };
  EXPECT_EQ(encrypted_by({}), "");
  EXPECT_EQ(encrypted_by(key), key.verification_key());
  EXPECT_NO_THROW((void)owner.decrypt(Source(reply), {.origin = {.input_signer = key.verification_key()}}));
  owner.encrypt(images, Sink(query));
  EXPECT_NO_THROW(strict.infer(Source(query), again, Sink(reply)));
  EXPECT_EQ(owner.decrypt(Source(reply)).input_signer.size(), 64u);
}

TEST_F(Library, PublicKeysThatDoNotFit) {
  const Plan plan = Plan::compile(model, {.images = 1});
  const Client owner(plan.client_spec(), SecretKey::generate()), stranger(plan.client_spec(), SecretKey::generate());
  Bytes public_key, keys, query, reply;
  owner.write_public_key(Sink(public_key));
  owner.write_evaluation_keys(Sink(keys));
  EXPECT_TRUE(test::refuses([&] { (void)Encryptor(plan.client_spec(), Source(keys)); }, {"public key"}));
  // Encrypted for someone else than the keys are of.
  stranger.write_public_key(Sink(public_key));
  const std::vector<double> values(kEach, 0.5);
  Encryptor(plan.client_spec(), Source(public_key)).encrypt(ImagesView(values, 1, 8, 8), Sink(query));
  Server server(plan);
  EvaluationKeys opened = server.open_keys(Source(keys));
  EXPECT_TRUE(test::fails_with([&] { server.infer(Source(query), opened, Sink(reply)); }, ErrorCode::wrong_key));
  for (const std::size_t length : {std::size_t{0}, std::size_t{100}, public_key.size() - 1}) {
    const Bytes cut(public_key.begin(), public_key.begin() + static_cast<std::ptrdiff_t>(length));
    EXPECT_TRUE(test::refuses([&] { (void)Encryptor(plan.client_spec(), Source(cut)); })) << length;
  }
}

TEST_F(Library, ImagesThatDoNotFit) {
  const Client client(Plan::compile(model, {.images = 1}).client_spec(), SecretKey::generate());
  Bytes query = {1};
  std::vector<double> values(kEach, 0.5);
  const auto refused = [&](const ImagesView& images, const char* word) {
    return test::refuses([&] { client.encrypt(images, Sink(query)); }, {word});
  };
  EXPECT_TRUE(refused(ImagesView(values, 1, 4, 16), "1x8x8"));
  EXPECT_TRUE(refused(ImagesView(std::span(values).first(63), 1, 8, 8), "whole images"));
  EXPECT_TRUE(refused(ImagesView(std::span(values).first(0), 1, 8, 8), "no images"));
  for (const double v : {std::nan(""), HUGE_VAL, 1e30}) {
    values[7] = v;
    EXPECT_TRUE(refused(ImagesView(values, 1, 8, 8), "no preprocessed pixel")) << v;
  }
  EXPECT_EQ(query, Bytes{1});
}

TEST_F(Library, CanBeStopped) {
  const std::atomic<bool> stop = true;
  const Hooks hooks{.stop = &stop};
  const auto stops = [](const auto& f) { return test::fails_with(f, ErrorCode::interrupted); };
  EXPECT_TRUE(stops([&] { (void)Plan::compile(model, {}, hooks); }));
  const Plan plan = Plan::compile(model, {.images = 1});
  const Client client(plan.client_spec(), SecretKey::generate());
  Bytes keys, query, reply = {1};
  EXPECT_TRUE(stops([&] { client.write_evaluation_keys(Sink(keys), hooks); }));
  EXPECT_TRUE(keys.empty());
  client.write_evaluation_keys(Sink(keys));
  const std::vector<double> values(kEach, 0.5);
  client.encrypt(ImagesView(values, 1, 8, 8), Sink(query));
  Server server(plan);
  EvaluationKeys opened = server.open_keys(Source(keys));
  EXPECT_TRUE(stops([&] { server.infer(Source(query), opened, Sink(reply), hooks); }));
  EXPECT_EQ(reply, Bytes{1});
}

// Finished batches are kept beside a file, which bytes have not.
TEST_F(Library, CanBeStoppedBetweenBatches) {
  const Plan plan = Plan::compile(model, {.images = 1});
  const Client client(plan.client_spec(), SecretKey::generate());
  const auto images = static_cast<std::size_t>(3 * plan.batch());
  const std::vector<double> values(images * kEach, 0.5);
  Bytes keys, query, reply = {1};
  client.write_evaluation_keys(Sink(keys));
  client.encrypt(ImagesView(values, 1, 8, 8), Sink(query));
  Server server(plan, {.memory = std::uint64_t{1} << 40});
  EvaluationKeys opened = server.open_keys(Source(keys));
  for (const double part : {0.4, 0.7}) {
    std::atomic<bool> stop = false;
    const Hooks hooks{.progress = [&](const Progress& p) { stop = stop || p.done > part; }, .stop = &stop};
    EXPECT_TRUE(
        test::fails_with([&] { server.infer(Source(query), opened, Sink(reply), hooks); }, ErrorCode::interrupted));
    EXPECT_EQ(reply, Bytes{1});
  }
}

TEST_F(Library, ProgressAndNotesAreHeard) {
  std::set<std::string> stages, notes;
  const Hooks hooks{.progress =
                        [&](const Progress& p) {
                          EXPECT_GE(p.done, 0);
                          EXPECT_LE(p.done, 1 + 1e-9);
                          stages.insert(p.stage);
                        },
                    .note = [&](const std::string& text) { notes.insert(text); }};
  const Plan plan = Plan::compile(model, {.images = 1}, hooks);
  EXPECT_TRUE(stages.contains("prediction"));
  const Client client(plan.client_spec(), SecretKey::generate());
  Bytes keys;
  client.write_evaluation_keys(Sink(keys), hooks);
  EXPECT_TRUE(stages.contains("evaluation keys"));
}

TEST_F(Library, OptionsThatMakeNoSense) {
  for (int images : {-1, 0, 65537})
    EXPECT_TRUE(test::fails_with([&] { (void)Plan::compile(model, {.images = images}); }, ErrorCode::usage)) << images;
  for (double agreement : {-0.1, 1.0, std::nan("")})
    EXPECT_TRUE(test::fails_with([&] { (void)Plan::compile(model, {.agreement = agreement}); }, ErrorCode::usage));
}

TEST_F(Library, ErrorsNameTheModel) {
  EXPECT_TRUE(test::refuses([&] { (void)Plan::compile(folder / "none.onnx"); }, {"none.onnx"}));
  EXPECT_TRUE(test::fails_with([&] { (void)Plan::compile(model, {.memory = 1000}); }, ErrorCode::no_resources,
                               {"small.onnx", "1000 B"}));
}

}  // namespace
}  // namespace sotto
