// Masks leave scores and probes as they are and drown everything else, also what lies below the bits of a double.
#include "runtime/slot_masks.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <set>

#include "plan/answer_slots.h"
#include "plan/identity.h"
#include "plan/probe.h"
#include "plan/verify.h"
#include "runtime/batch_run.h"
#include "support/encrypted_error.h"
#include "support/plan_builder.h"
#include "support/toy_client.h"

namespace sotto::runtime {
namespace {

// Slots of an answer, as its reader sees them.
std::vector<double> slots_of(const test::ToyClient& client, const ckks::Ciphertext& c) {
  const auto coefficients = secret::try_decrypt(client.key, c, plan::kMostOfModulus);
  EXPECT_TRUE(coefficients) << "a mask is taken for damage";
  std::vector<double> v;
  if (coefficients)
    for (const auto& z : client.encoder.embed(*coefficients)) v.push_back(z.real() / c.scale);
  return v;
}

double modulus_of(const ring::Ring& ring, const ckks::Level& level) {
  double q = 1;
  for (int l = level.absent; l < level.limbs; ++l) q *= static_cast<double>(ring.prime(static_cast<std::size_t>(l)));
  return q;
}

class SlotMasksOfPlans : public ::testing::TestWithParam<int> {  // channels per ciphertext
 protected:
  static plan::Plan watched_plan() {
    plan::Plan p = test::slotwise_plan(GetParam());
    p.probes = {{0, true, 2, 100}, {7, false, 1, 1000}};
    p.id = plan::plan_id(p);
    plan::verify(p);
    return p;
  }
};

TEST_P(SlotMasksOfPlans, HideAllButScoresAndProbes) {
  const plan::Plan p = watched_plan();
  test::ToyClient client(p);
  const Model model(p, client.parameters, client.ring);
  BatchRun run(model, client.keys);
  std::vector<ckks::Ciphertext> answer = run.execute(client.encrypt(test::random_images(p, p.batch)));
  for (ckks::Ciphertext& c : run.take_probes()) answer.push_back(std::move(c));
  std::vector<std::vector<double>> before, after;
  for (const ckks::Ciphertext& c : answer) before.push_back(slots_of(client, c));
  SlotMasks(p, *client.ring, ckks::random_seed()).hide(answer, 3);
  for (const ckks::Ciphertext& c : answer) after.push_back(slots_of(client, c));

  const plan::AnswerSlots slots(p);
  ASSERT_EQ(answer.size(), slots.blocks() + 2);
  for (std::size_t k = 0; k < answer.size(); ++k) {
    std::set<std::size_t> means;
    if (k < slots.blocks())
      slots.each_score(k, [&](std::size_t, std::size_t, std::size_t slot) { means.insert(slot); });
    else
      slots.each_watched(plan::watched(p, p.probes[k - slots.blocks()]),
                         [&](std::size_t, std::size_t slot) { means.insert(slot); });
    if (k < slots.blocks()) ASSERT_LT(means.size(), before[k].size()) << "nothing to hide";
    const double tolerance = k < slots.blocks() ? 1e-4 : 1e-4 * p.probes[k - slots.blocks()].bound;
    double sum = 0;
    for (std::size_t j = 0; j < before[k].size(); ++j) {
      const double moved = after[k][j] - before[k][j];
      if (means.contains(j))
        EXPECT_LT(std::abs(moved), tolerance) << k << " " << j;
      else
        sum += moved * moved;
    }
    // The mean square of coefficients is that of slots over 2 n.
    if (k >= slots.blocks()) continue;
    const double n = static_cast<double>(before[k].size());
    const double deviation =
        std::sqrt(sum / n / (2 * n)) * answer[k].scale / modulus_of(*client.ring, answer[k].level());
    EXPECT_NEAR(deviation, kMaskDeviation, 0.35 * kMaskDeviation) << k;
  }
}

INSTANTIATE_TEST_SUITE_P(Groups, SlotMasksOfPlans, ::testing::Values(1, 4));

TEST(SlotMasks, AreThoseOfTheirSeedBatchAndCiphertext) {
  const plan::Plan p = test::small_plan();
  const test::ToyClient client(p);
  const auto masks_of = [&](const ckks::Seed& seed, std::uint64_t batch) {
    std::vector<ckks::Ciphertext> answer(plan::AnswerSlots(p).blocks());
    for (ckks::Ciphertext& c : answer) {
      c.c0.push_back(client.ring->limb());
      std::fill_n(c.c0[0].data(), client.ring->n(), 0);
    }
    SlotMasks(p, *client.ring, seed).hide(answer, batch);
    std::set<std::vector<std::uint64_t>> all;
    for (const ckks::Ciphertext& c : answer) all.emplace(c.c0[0].data(), c.c0[0].data() + client.ring->n());
    EXPECT_EQ(all.size(), answer.size()) << "every ciphertext has a mask of its own";
    return all;
  };
  const ckks::Seed seed = ckks::random_seed();
  EXPECT_EQ(masks_of(seed, 0), masks_of(seed, 0));
  EXPECT_NE(masks_of(seed, 0), masks_of(seed, 1));
  EXPECT_NE(masks_of(seed, 0), masks_of(ckks::random_seed(), 0));
}

// The lowest bits of a coefficient are as random as the highest, though it has far more than a double.
TEST(SlotMasks, OfTwoLimbsHideTheLowestBits) {
  const plan::Plan p = test::small_plan(10);
  const test::ToyClient client(p);
  const std::size_t n = client.ring->n();
  std::vector<ckks::Ciphertext> answer(plan::AnswerSlots(p).blocks());
  for (ckks::Ciphertext& c : answer)
    for (int l = 0; l < 2; ++l) {
      c.c0.push_back(client.ring->limb());
      std::fill_n(c.c0.back().data(), n, 0);
    }
  SlotMasks(p, *client.ring, ckks::random_seed()).hide(answer, 0);
  // Exactly, by the Chinese remainder theorem: the residue modulo 256 of each coefficient.
  using u128 = unsigned __int128;
  const std::uint64_t q0 = client.ring->prime(0), q1 = client.ring->prime(1);
  std::vector<ring::Limb> x;
  for (int l = 0; l < 2; ++l) x.push_back(client.ring->limb());
  for (std::size_t l = 0; l < 2; ++l) client.ring->intt(x[l].data(), answer.back().c0[l].data(), l);
  std::uint64_t inverse = 1;  // of q0 modulo q1
  for (std::uint64_t e = q1 - 2, base = q0 % q1; e > 0; e >>= 1) {
    if (e & 1) inverse = static_cast<std::uint64_t>(u128{inverse} * base % q1);
    base = static_cast<std::uint64_t>(u128{base} * base % q1);
  }
  std::set<unsigned> lowest;
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint64_t low = x[0].data()[i], difference = (x[1].data()[i] + q1 - low % q1) % q1;
    const u128 whole = low + u128{q0} * static_cast<std::uint64_t>(u128{difference} * inverse % q1);
    const u128 modulus = u128{q0} * q1, magnitude = whole > modulus / 2 ? modulus - whole : whole;
    lowest.insert(static_cast<unsigned>(magnitude % 256));
  }
  EXPECT_GT(lowest.size(), 200u) << "of 256, in 1,024 coefficients";
}

TEST(MaskSeed, DependsOnWeightsInputAndKeys) {
  const plan::Plan p = test::small_plan();
  plan::Plan other = p;
  other.steps.front().terms.front().weights.front() += 1e-9;
  const std::vector<unsigned char> a(32, 1), b(32, 2);
  std::set<ckks::Seed> seeds = {mask_seed(p, a, b), mask_seed(other, a, b), mask_seed(p, b, b), mask_seed(p, a, a)};
  EXPECT_EQ(seeds.size(), 4u);
  EXPECT_EQ(mask_seed(p, a, b), mask_seed(p, a, b));
}

}  // namespace
}  // namespace sotto::runtime
