// What a server's answer tells, over a ring with security.
#include "engine/server.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ckks/encoder.h"
#include "client/batch.h"
#include "client/results.h"
#include "compiler/compile.h"
#include "graph/interpreter.h"
#include "plan/answer_slots.h"
#include "secret/crypt.h"
#include "support/network_builder.h"
#include "support/values.h"

namespace sotto::engine {
namespace {

// A dense layer on a picture: sums over tiles, whose other slots hold sums over parts of two pictures.
TEST(Server, AnswersShowScoresOnly) {
  test::NetworkBuilder b({1, 8, 8}, 3);
  b.dense(0, 3);
  const plan::Plan plan = compiler::compile(b.network, {.batch = 64}).plan;
  const auto owner = secret::OwnerKey::generate();
  const plan::ClientSpec spec = plan::client_part(plan);
  const client::Keys keys = client::keys_of(owner, ckks::Parameters::create(plan.parameters));
  Bytes eval_key, query, reply, again;
  client::write_evaluation_keys({ckks::Parameters::create(plan.parameters), plan.keys}, owner, Sink(eval_key), {});
  std::vector<std::vector<double>> images;
  for (unsigned i = 0; i < 64; ++i) images.push_back(test::random_values(64, i, 1));
  client::encrypt_images(spec, keys, images, Sink(query), {});
  Server server(plan);
  const auto opened = server.open_keys(Source(eval_key));
  server.infer(Source(query), *opened, Sink(reply));
  server.infer(Source(query), *opened, Sink(again));
  EXPECT_EQ(reply, again) << "the same question has the same answer";

  const client::Decrypted found = client::decrypt_scores(spec, keys, Source(reply), {}, {});
  double largest = 0;
  for (std::size_t i = 0; i < images.size(); ++i) {
    const std::vector<double> exact = graph::evaluate(b.network, images[i]);
    for (std::size_t c = 0; c < exact.size(); ++c) {
      EXPECT_NEAR(found.scores[i][c], exact[c], 1e-3);
      largest = std::max(largest, std::abs(exact[c]));
    }
  }
  const ckks::CiphertextReader file(Source(reply), wire::Kind::output);
  const ckks::Encoder encoder(plan.parameters.log_n, plan.parameters.kind);
  const plan::AnswerSlots answer(spec);
  for (std::size_t block = 0; block < answer.blocks(); ++block) {
    const ckks::Ciphertext c = file.read(*keys.ring, block);
    const auto coefficients = secret::try_decrypt(keys.secret, c, plan::kMostOfModulus);
    ASSERT_TRUE(coefficients);
    const auto slots = encoder.embed(*coefficients);
    std::vector<bool> means(slots.size());
    answer.each_score(block, [&](std::size_t, std::size_t, std::size_t slot) { means[slot] = true; });
    std::size_t near = 0, hidden = 0;
    for (std::size_t j = 0; j < slots.size(); ++j) {
      hidden += !means[j];
      near += !means[j] && std::abs(slots[j].real() / c.scale) < 2 * largest;
    }
    ASSERT_GT(hidden, slots.size() / 2);
    EXPECT_LT(static_cast<double>(near), 0.02 * static_cast<double>(hidden)) << "as large as a partial sum is";
  }
}

}  // namespace
}  // namespace sotto::engine
