// Activations and bootstrapping in encrypted runs against the float64 interpretation of the same plan.
#include <gtest/gtest.h>

#include <algorithm>

#include "plan/noise.h"
#include "plan/simulation.h"
#include "plan/switch_work.h"
#include "support/encrypted_error.h"
#include "support/expect_error.h"
#include "support/plan_builder.h"

namespace sotto::runtime {
namespace {

using plan::Plan;
using plan::Step;

// Without values within the ranges of its polynomials and its circuit, a plan would test nothing.
void expect_in_range(const Plan& p) {
  for (const auto& image : test::random_images(p, p.batch))
    circuit::interpret(plan::view(p), image, [&](int t, std::span<const double> v) {
      double largest = 0;
      for (double x : v) largest = std::max(largest, std::abs(x));
      for (const Step& s : p.steps) {
        if (!s.slotwise() || s.terms[0].source != t) continue;
        const bool activates = s.kind == plan::Kind::activate;
        const double bound = activates ? s.activation.range : p.bootstrapping->input_peak / s.scale;
        EXPECT_LE(largest, bound) << s.name;
        EXPECT_GE(largest, bound / 128) << s.name;
      }
    });
}

TEST(SlotwiseSteps, EveryPixelOfEveryStep) {
  for (int group : {1, 4}) {
    const Plan p = test::slotwise_plan(group);
    ASSERT_GT(p.tensors[3].layout.channels, plan::kBootstrappedTogether);
    expect_in_range(p);
    EXPECT_LT(test::worst_error(p), 1e-2) << group;
  }
}

TEST(SlotwiseSteps, AnyNumberOfCiphertextsIsBootstrapped) {
  using namespace test::kinds;
  for (int channels : {1, plan::kBootstrappedTogether, plan::kBootstrappedTogether + 1}) {
    test::PlanBuilder b(10, 4, {1, 4, 4, 1, 1}, 14);
    b.plan.tensors[0].scale = 0x1p40;
    b.plan.bootstrapping = {
        .slots_to_coeffs_factors = 1, .coeffs_to_slots_factors = 1, .raised_limbs = 14, .input_peak = 0x1p40};
    b.log_scale = 38;
    const int x = b.step({b.convolution(0, channels, 3, 1, 1)}, {channels, 4, 4, 1, 1}, rescale);
    const int y = b.bootstrap(x), z = b.step({b.convolution(y, 2, 3, 1, 1)}, {2, 4, 4, 1, 1}, rescale);
    b.log_scale = 22;
    const int again = b.bootstrap(z);
    b.step({b.full(again, 2)}, {2, 1, 1, 1, 4}, keep);
    const Plan p = b.build();
    expect_in_range(p);
    EXPECT_LT(test::worst_error(p), 5e-3) << channels;
  }
}

TEST(SlotwiseSteps, OutputsMayKeepFewerLimbsThanAreLeft) {
  using namespace test::kinds;
  test::PlanBuilder b(10, 4, {1, 4, 4, 1, 1}, 16);
  b.plan.tensors[0].scale = 0x1p40;
  b.plan.bootstrapping = {
      .slots_to_coeffs_factors = 1, .coeffs_to_slots_factors = 1, .raised_limbs = 16, .input_peak = 0x1p40};
  b.log_scale = 38;
  const int x = b.step({b.convolution(0, 2, 3, 1, 1)}, {2, 4, 4, 1, 1}, rescale);
  b.log_scale = 22;
  const int y = b.bootstrap(x);
  b.plan.tensors[static_cast<std::size_t>(y)].level.limbs = 2;  // of six
  b.step({b.full(y, 2)}, {2, 1, 1, 1, 4}, keep);
  EXPECT_LT(test::worst_error(b.build()), 2e-3);
}

TEST(SlotwiseSteps, ExtraPrimesMakeWeightsPrecise) {
  using namespace test::kinds;
  double error[2];
  for (int extra : {0, 1}) {
    test::PlanBuilder b(10, 4, {2, 8, 8, 2, 1}, 6);
    b.late = 1 + extra;
    // What precise steps read and leave is finer.
    b.log_scale = extra == 0 ? 22 : 32;
    b.plan.tensors[0].scale = std::exp2(b.log_scale);
    const int x = b.step({b.convolution(0, 3, 3, 1, 1)}, {3, 8, 8, 2, 1}, square);
    const int y = b.step({b.convolution(x, 3, 3, 1, 1)}, {3, 8, 8, 2, 1}, extra == 0 ? square : rescale);
    b.step({b.full(y, 2)}, {2, 1, 1, 1, 4}, keep);
    const Plan p = b.build();
    EXPECT_EQ(p.tensors[static_cast<std::size_t>(y)].level.limbs, 6 - 2 * (1 + extra));
    error[extra] = 0;
    test::ToyClient client(p);
    const Model model(p, client.parameters, client.ring);
    RunOptions options;
    const auto images = test::random_images(p, 1);
    std::map<int, std::vector<double>> truth;
    circuit::interpret(plan::view(p), images[0],
                       [&](int t, std::span<const double> v) { truth[t].assign(v.begin(), v.end()); });
    options.observe = [&](int t, int phase, const std::vector<ckks::PackedCiphertext>& blocks) {
      if (t != x || phase != 0) return;
      const std::vector<double> slots = client.slots(ckks::unpack(*client.ring, blocks[0], blocks[0].level()));
      for (int k = 0; k < 16; ++k) {
        const std::size_t pixel = static_cast<std::size_t>(k / 4 * 2 * 8 + k % 4 * 2);
        error[extra] = std::max(error[extra], std::abs(slots[static_cast<std::size_t>(k)] - truth[x][pixel]));
      }
    };
    BatchRun run(model, client.keys, options);
    (void)run.execute(client.encrypt(images));
  }
  EXPECT_LT(error[1], error[0] / 100);
  EXPECT_GT(error[0], 1e-5);
}

TEST(SlotwiseSteps, KeysAreDoneAfterTheirLastTask) {
  const Plan p = test::slotwise_plan();
  test::ToyClient client(p);
  const Model model(p, client.parameters, client.ring);
  RunOptions options;
  const std::vector<ckks::KeyId> all = p.keys.keys;
  std::vector<ckks::KeyId> done;
  std::vector<int> tensors;
  options.observe = [&](int t, int, const auto&) { tensors.push_back(t); };
  options.key_done = [&](const ckks::KeyId& id) {
    done.push_back(id);
    client.keys.keys.erase(id);  // a run that needed it once more would fail
    if (id.galois_element == ckks::kToEphemeral) {
      EXPECT_EQ(tensors.back(), 5) << "after the last bootstrapping";
    }
  };
  BatchRun run(model, client.keys, options);
  (void)run.execute(client.encrypt(test::random_images(p, 1)));
  std::ranges::sort(done);
  EXPECT_EQ(done, all);
  EXPECT_EQ(run.times().size(), p.steps.size());
  for (const StepTime& t : run.times()) EXPECT_GT(t.total(), 0);
}

TEST(SlotwiseSteps, MissingKeysAreSaidSo) {
  const Plan p = test::slotwise_plan();
  for (std::uint64_t galois_element : {ckks::kToEphemeral, ckks::kFromEphemeral}) {
    test::ToyClient client(p);
    std::erase_if(client.keys.keys, [&](const auto& entry) { return entry.first.galois_element == galois_element; });
    const Model model(p, client.parameters, client.ring);
    BatchRun run(model, client.keys);
    const auto attempt = [&] { return run.execute(client.encrypt(test::random_images(p, 1))); };
    EXPECT_TRUE(test::fails_with(attempt, ErrorCode::wrong_key)) << galois_element;
  }
}

TEST(SlotwiseSteps, StopBetweenBootstraps) {
  const Plan p = test::slotwise_plan();
  test::ToyClient client(p);
  std::atomic<bool> stop{false};
  const auto progress = [&](const Progress& now) {
    if (now.step == 3) stop = true;
  };
  const Model model(p, client.parameters, client.ring);
  RunOptions options;
  options.progress = progress;
  options.stop = &stop;
  BatchRun run(model, client.keys, options);
  const auto attempt = [&] { return run.execute(client.encrypt(test::random_images(p, 1))); };
  EXPECT_TRUE(test::fails_with(attempt, ErrorCode::interrupted));
}

// Root of the mean square of simulated errors, by tensor.
std::vector<double> simulated(const Plan& p) {
  const auto image = test::random_images(p, 1).front();
  std::vector<std::vector<double>> truth(p.tensors.size());
  circuit::interpret(plan::view(p), image, [&](int t, std::span<const double> v) {
    truth[static_cast<std::size_t>(t)].assign(v.begin(), v.end());
  });
  std::vector<double> squares(p.tensors.size()), count(p.tensors.size());
  plan::SimulationHooks hooks;
  hooks.observe = [&](int tensor, std::size_t, std::span<const double> v) {
    const auto t = static_cast<std::size_t>(tensor);
    for (std::size_t k = 0; k < v.size(); ++k) {
      squares[t] += (v[k] - truth[t][k]) * (v[k] - truth[t][k]);
      ++count[t];
    }
  };
  for (unsigned seed = 0; seed < 16; ++seed)
    (void)plan::simulate(p, std::vector<std::vector<double>>{image}, seed, hooks);
  for (std::size_t t = 0; t < squares.size(); ++t) squares[t] = std::sqrt(squares[t] / count[t]);
  return squares;
}

TEST(SlotwiseNoise, BootstrappingAddsItsShareOfThePeak) {
  Plan p = test::slotwise_plan();
  const std::vector<double> usual = simulated(p);
  for (int fresh : {4, 5}) {
    const Step& step = p.steps[static_cast<std::size_t>(fresh - 1)];
    const double source = usual[static_cast<std::size_t>(step.terms[0].source)],
                 own = plan::NoiseModel::bootstrap() * p.bootstrapping->input_peak / step.scale;
    EXPECT_NEAR(usual[static_cast<std::size_t>(fresh)], std::hypot(source, own), 0.1 * std::hypot(source, own));
  }
  p.bootstrapping->input_peak *= 16;
  const std::vector<double> wide = simulated(p);
  EXPECT_NEAR(wide[4] / usual[4], 16, 1.6) << "a wider range of values is held less exactly";
  EXPECT_EQ(wide[3], usual[3]);
}

}  // namespace
}  // namespace sotto::runtime
