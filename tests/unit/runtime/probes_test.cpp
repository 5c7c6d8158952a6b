// The sums that a run returns beside the scores are those of the interpreter, image by image. On toy rings.
#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "plan/identity.h"
#include "plan/probe.h"
#include "plan/verify.h"
#include "runtime/batch_run.h"
#include "support/encrypted_error.h"
#include "support/plan_builder.h"
#include "support/toy_client.h"

namespace sotto::runtime {
namespace {

constexpr int kGaps = 0;  // channels lie in gaps

class Probes : public ::testing::TestWithParam<int> {};  // channels per ciphertext, or kGaps

TEST_P(Probes, AreSumsOfTheirTensors) {
  plan::Plan p = GetParam() == kGaps ? test::small_gaps_plan() : test::slotwise_plan(GetParam());
  // Input, result of a polynomial, of a square, and the smaller map of the gate, which has gaps in no phase.
  p.probes = {{0, true, 2, 100}, {2, false, 2, 100}, {3, true, 2, 100}, {7, false, 1, 1000}};
  if (GetParam() == kGaps) p.probes = {{1, true, 2, 100}, {2, false, 2, 100}, {3, false, 2, 1000}};
  p.id = plan::plan_id(p);
  plan::verify(p);
  test::ToyClient client(p);
  const auto images = test::random_images(p, p.batch);
  const Model model(p, client.parameters, client.ring);
  BatchRun run(model, client.keys);
  for (int batch = 0; batch < 2; ++batch) {  // a second run begins anew
    (void)run.execute(client.encrypt(images));
    const auto sums = run.take_probes();
    ASSERT_EQ(sums.size(), p.probes.size());
    for (std::size_t k = 0; k < sums.size(); ++k) {
      const plan::Probe& probe = p.probes[k];
      EXPECT_EQ(sums[k].level(), p.parameters.whole(probe.limbs));
      EXPECT_EQ(sums[k].scale, p.tensors[static_cast<std::size_t>(probe.tensor)].scale);
      const std::vector<double> slots = client.slots(sums[k]);
      const plan::Watched w = plan::watched(p, probe);
      for (std::size_t b = 0; b < images.size(); ++b) {
        double expected = 0, found = 0;
        const auto observe = [&](int t, std::span<const double> v) {
          if (t == probe.tensor) expected = plan::probe_value(p, probe, v);
        };
        circuit::interpret(plan::view(p), images[b], observe);
        for (int place = 0; place < w.places; ++place)
          for (int y = 0; y < w.rows; y += w.row_gap)
            for (int x = 0; x < w.columns; x += w.column_gap)
              found = std::max(found, std::abs(slots[test::slot_of(p, static_cast<int>(b), place, y * p.tile.w + x)]));
        EXPECT_NEAR(found, expected, 1e-2 * expected) << "probe " << k << ", image " << b;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Groups, Probes, ::testing::Values(1, 4, kGaps));

TEST(ProbeSums, AreComplete) {
  const plan::Plan p = [] {
    plan::Plan plan = test::small_plan();
    plan.probes = {{1, false, 2, 100}};
    return plan;
  }();
  test::ToyClient client(p);
  const ckks::Evaluator evaluator(client.parameters, client.ring, p.keys.tiers, &client.keys);
  ProbeSums sums(p, evaluator);
  EXPECT_TRUE(sums.watches(1));
  EXPECT_FALSE(sums.watches(0));
  EXPECT_THROW((void)sums.take(), Error) << "nothing was added";
}

}  // namespace
}  // namespace sotto::runtime
