// Runs under a memory cap: the same ciphertexts, less in memory, nothing left on disk.
#include <gtest/gtest.h>

#include <filesystem>

#include "base/error.h"
#include "plan/cost.h"
#include "runtime/batch_run.h"
#include "support/expect_error.h"
#include "support/files.h"
#include "support/plan_builder.h"
#include "support/toy_client.h"

namespace sotto::runtime {
namespace {

std::vector<std::vector<unsigned char>> bytes_of(const test::ToyClient& client,
                                                 const std::vector<ckks::Ciphertext>& scores) {
  std::vector<std::vector<unsigned char>> out;
  for (const ckks::Ciphertext& c : scores)
    for (const ring::RnsPoly* p : {&c.c0, &c.c1})
      for (const ring::Limb& l : *p) {
        const auto* at = reinterpret_cast<const unsigned char*>(l.data());
        out.emplace_back(at, at + client.ring->n() * 8);
      }
  return out;
}

std::vector<ckks::PackedCiphertext> copy(const test::ToyClient& client,
                                         const std::vector<ckks::PackedCiphertext>& all) {
  std::vector<ckks::PackedCiphertext> out;
  for (const auto& c : all) out.push_back(ckks::pack(*client.ring, ckks::unpack(*client.ring, c, c.level())));
  return out;
}

// Runs a plan under several caps, and without one.
void expect_the_same_scores(const plan::Plan& p) {
  test::ToyClient client(p);
  const plan::Schedule schedule = plan::make_schedule(p);
  const auto input = client.encrypt({test::random_values(2 * 8 * 8, 5, 1.0)});
  const Model model(p, client.parameters, client.ring);
  BatchRun free(model, client.keys);
  const auto expected = bytes_of(client, free.execute(copy(client, input)));
  const std::uint64_t least = plan::plan_residency(p, schedule, [](int) { return ~std::uint64_t{0}; }).least_limbs;
  const test::TempFolder folder;
  std::uint64_t moved = 0;
  for (std::uint64_t cap : {least, least + 7, least + 40}) {
    const auto residency = plan::plan_residency(p, schedule, [&](int) { return cap; });
    for (const auto& moves : residency.tasks) moved += moves.limbs;
    RunOptions options;
    options.scratch = folder.path();
    options.residency = residency;
    BatchRun limited(model, client.keys, options);
    EXPECT_EQ(bytes_of(client, limited.execute(copy(client, input))), expected) << cap;
    EXPECT_EQ(bytes_of(client, limited.execute(copy(client, input))), expected) << "a second batch, cap " << cap;
  }
  EXPECT_GT(moved, 0u);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(MemoryLimit, EveryCapGivesTheSameScores) { expect_the_same_scores(test::small_plan(10)); }

TEST(MemoryLimit, AlsoWithActivationsAndBootstrapping) {
  for (int group : {1, 4}) expect_the_same_scores(test::slotwise_plan(group));
}

TEST(MemoryLimit, AFolderThatIsNotThere) {
  const plan::Plan p = test::small_plan(10);
  test::ToyClient client(p);
  const plan::Schedule schedule = plan::make_schedule(p);
  const std::uint64_t least = plan::plan_residency(p, schedule, [](int) { return ~std::uint64_t{0}; }).least_limbs;
  const Model model(p, client.parameters, client.ring);
  RunOptions options;
  options.scratch = "/no/such/folder";
  options.residency = plan::plan_residency(p, schedule, [&](int) { return least; });
  BatchRun limited(model, client.keys, options);
  const auto run = [&] { return limited.execute(client.encrypt({test::random_values(2 * 8 * 8, 5, 1.0)})); };
  EXPECT_TRUE(test::refuses(run, {"/no/such/folder", "another folder"}));
}

TEST(MemoryLimit, EstimatesKeepToTheLimitOrNameTheLeastOne) {
  const plan::Plan p = test::small_plan();
  const plan::Cost free = plan::estimate(p, 1);
  EXPECT_FALSE(free.residency.has_value());
  EXPECT_EQ(free.least_bytes, free.peak_bytes);
  const plan::Cost tiny = plan::estimate(p, 1, 1);
  ASSERT_TRUE(tiny.residency.has_value());
  EXPECT_FALSE(tiny.residency->possible);
  EXPECT_LT(tiny.least_bytes, free.peak_bytes);
  const plan::Cost least = plan::estimate(p, 1, tiny.least_bytes);
  ASSERT_TRUE(least.residency.has_value());
  EXPECT_TRUE(least.residency->possible);
  EXPECT_LE(least.peak_bytes, tiny.least_bytes);
  EXPECT_FALSE(plan::estimate(p, 1, free.peak_bytes).residency.has_value());
}

}  // namespace
}  // namespace sotto::runtime
