// From encrypted images to marks: one image of a batch leaves the range of a network, on toy rings. No other may get a
// wrong score without a mark.
#include "client/doubt.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ckks/chebyshev.h"
#include "client/results.h"
#include "compiler/probes.h"
#include "plan/verify.h"
#include "runtime/batch_run.h"
#include "support/files.h"
#include "support/plan_builder.h"
#include "support/toy_client.h"

namespace sotto::client {
namespace {

using Images = std::vector<std::vector<double>>;
using namespace test::kinds;

Images random_images(const plan::Plan& p, int count, unsigned seed = 100) {
  Images images;
  for (int b = 0; b < count; ++b)
    images.push_back(test::random_values(static_cast<std::size_t>(p.io.channels * p.io.height * p.io.width),
                                         seed + static_cast<unsigned>(b), 1));
  return images;
}

// Two squares, bootstrapping, as many squares again, the scores: the peak is 1.5 times that of ordinary images.
plan::Plan squares(int behind, int group = 1) {
  test::PlanBuilder b(10, 4, {2, 8, 8, 2, 1, group}, 18);
  b.plan.bootstrapping = {
      .slots_to_coeffs_factors = 2, .coeffs_to_slots_factors = 2, .raised_limbs = 18, .input_peak = 0x1p41};
  const int x = b.step({b.convolution(0, 3, 3, 1, 1)}, {3, 8, 8, 2, 1}, square, true);
  b.late = 2;
  b.log_scale = 34;
  const int y = b.step({b.convolution(x, 3, 3, 2, 1)}, {3, 4, 4, 1, 1}, square);
  b.log_scale = 22;
  int z = b.bootstrap(y);
  b.late = 1;
  for (int k = 0; k < behind; ++k) z = b.step({b.convolution(z, 3, 3, 1, 1)}, {3, 4, 4, 1, 1}, square);
  b.step({b.full(z, 3)}, {3, 1, 1, 1, 4}, keep);
  plan::Plan p = b.build();
  double largest = 0;
  for (const auto& image : random_images(p, 24, 500))
    circuit::interpret(plan::view(p), image, [&](int t, std::span<const double> v) {
      if (t == y)
        for (double value : v) largest = std::max(largest, std::abs(value));
    });
  p.bootstrapping->input_peak = 1.5 * largest * p.tensors[static_cast<std::size_t>(y)].scale;
  return p;
}

// A ReLU by its series of degree 62 over a range that ordinary images fill to two thirds, then the scores.
plan::Plan relu() {
  test::PlanBuilder b(10, 4, {2, 8, 8, 2, 1}, 12);
  const double range = 4;
  std::vector<double> series = ckks::chebyshev_fit([](double t) { return std::max(t, 0.0); }, 62);
  b.log_scale = 46;
  const int x = b.step({b.convolution(0, 3, 3, 1, 1)}, {3, 8, 8, 2, 1}, rescale);
  b.log_scale = 40;
  const int r = b.activate(x, {range, false, {series}});
  b.log_scale = 70;
  b.step({b.full(r, 3)}, {3, 1, 1, 1, 4}, keep);
  double largest = 0;
  for (const auto& image : random_images(b.plan, 24, 500))
    circuit::interpret(plan::view(b.plan), image,
                       circuit::Hooks{{},
                                      [&](int s, std::vector<double>& v) {
                                        if (s == 1)
                                          for (double& value : v)
                                            largest = std::max(largest, std::abs(value)), value = 0;
                                      },
                                      {}});
  for (double& w : b.plan.steps[0].terms[0].weights) w *= range / 1.5 / largest;
  for (double& w : b.plan.steps[0].bias) w *= range / 1.5 / largest;
  return b.build();
}

// Both sides for one plan.
class Engine {
 public:
  explicit Engine(plan::Plan p)
      : plan(std::move(p)),
        toy_(plan),
        keys_{toy_.parameters, toy_.ring, toy_.owner.secret_of(toy_.ring), toy_.owner.signing_key()} {}

  // Runs one batch from images to marks.
  Decrypted run(const Images& images) {
    const runtime::Model model(plan, toy_.parameters, toy_.ring);
    runtime::BatchRun run(model, toy_.keys);
    std::vector<ckks::Ciphertext> results = run.execute(toy_.encrypt(images));
    for (ckks::Ciphertext& c : run.take_probes()) results.push_back(std::move(c));
    const plan::Tensor& scores = plan.output();
    ckks::CiphertextFileInfo info{plan.id,
                                  keys_.secret.id(),
                                  "input",
                                  images.size(),
                                  static_cast<std::uint64_t>(plan.batch),
                                  static_cast<std::uint64_t>(scores.layout.ciphertexts()),
                                  scores.level,
                                  scores.scale,
                                  {}};
    for (const plan::Probe& probe : plan.probes)
      info.probes.push_back({probe.limbs, plan.tensors[static_cast<std::size_t>(probe.tensor)].scale});
    const test::TempFolder folder;
    ckks::CiphertextWriter file(folder / "out", wire::Kind::output, *toy_.ring, info);
    for (const ckks::Ciphertext& c : results) file.write(c);
    file.commit();
    return decrypt_scores(plan::client_part(plan), keys_, folder / "out", {}, {});
  }

  const plan::Plan plan;

 private:
  test::ToyClient toy_;
  Keys keys_;
};

plan::Plan watched(plan::Plan p) {
  compiler::place_probes(p);
  compiler::measure_probes(p, compiler::calibration_from(random_images(p, 24, 500)));
  plan::verify(p);
  return p;
}

double error_of(const plan::Plan& p, const std::vector<double>& scores, const std::vector<double>& image) {
  const auto truth = circuit::interpret(plan::view(p), image);
  double worst = 0;
  for (std::size_t c = 0; c < truth.size(); ++c) {
    const double e = std::abs(scores[c] - truth[c]);
    worst = std::isfinite(e) ? std::max(worst, e) : INFINITY;
  }
  return worst;
}

// Images with an extreme one among them: those that are wrong by more than `tolerance` must have a mark.
void expect_marked(Engine& engine, double factor, double tolerance, std::size_t least_lost) {
  Images images = random_images(engine.plan, engine.plan.batch);
  const std::size_t extreme = images.size() / 2;
  for (double& v : images[extreme]) v = factor;
  const Decrypted r = engine.run(images);
  EXPECT_GE(r.doubts[extreme], Doubt::range) << factor;
  const std::size_t marked = doubtful(r.doubts).size();
  std::size_t lost = 0;
  for (std::size_t i = 0; i < images.size(); ++i) {
    lost += std::isnan(r.scores[i][0]);
    if (r.doubts[i] != Doubt::none) continue;
    EXPECT_LT(error_of(engine.plan, r.scores[i], images[i]), tolerance) << "image " << i << ", factor " << factor;
  }
  EXPECT_GE(lost, least_lost) << factor;
  EXPECT_TRUE(least_lost > 0 || marked < images.size()) << "one image is far from spoiling all";
}

class Squares : public ::testing::TestWithParam<std::pair<int, int>> {};  // behind bootstrapping, group

TEST_P(Squares, OrdinaryImagesHaveNoMark) {
  Engine engine(watched(squares(GetParam().first, GetParam().second)));
  ASSERT_EQ(engine.plan.probes.size(), 2u) << "input and what is bootstrapped";
  const Images images = random_images(engine.plan, engine.plan.batch);
  const Decrypted r = engine.run(images);
  EXPECT_TRUE(doubtful(r.doubts).empty()) << summary_of(r.doubts, r.batch);
  for (std::size_t i = 0; i < images.size(); ++i) EXPECT_LT(error_of(engine.plan, r.scores[i], images[i]), 0.05) << i;
}

TEST_P(Squares, AnImageThatOverflowsBeforeBootstrapping) {
  Engine engine(watched(squares(GetParam().first, GetParam().second)));
  for (const double factor : {10.0, 40.0}) expect_marked(engine, factor, 0.1, 0);
  for (const double factor : {1e3, 1e4, 1e5, 1e6})
    expect_marked(engine, factor, 0.1, static_cast<std::size_t>(engine.plan.batch));
}

INSTANTIATE_TEST_SUITE_P(Behind, Squares, ::testing::Values(std::pair{0, 1}, std::pair{1, 1}, std::pair{1, 4}));

TEST(Relu, InputsBeyondTheRange) {
  Engine engine(watched(relu()));
  const plan::Plan& p = engine.plan;
  ASSERT_EQ(p.probes.size(), 2u) << "input and activation";
  Images images = random_images(p, p.batch);
  EXPECT_TRUE(doubtful(engine.run(images).doubts).empty());
  // One image has its largest input of the activation 6 % beyond the range.
  const std::size_t extreme = 5;
  double largest = 0;
  circuit::interpret(plan::view(p), images[extreme], [&](int t, std::span<const double> v) {
    if (t != 1) return;
    for (double x : v) largest = std::max(largest, std::abs(x));
  });
  for (double& v : images[extreme]) v *= 1.06 * p.steps[1].activation.range / largest;
  const Decrypted r = engine.run(images);
  EXPECT_EQ(r.doubts[extreme], Doubt::range);
  for (std::size_t i = 0; i < images.size(); ++i) {
    if (r.doubts[i] != Doubt::none) continue;
    EXPECT_LT(error_of(p, r.scores[i], images[i]), 0.05) << i;
  }
  EXPECT_LE(doubtful(r.doubts).size(), 9u) << summary_of(r.doubts, r.batch);
  // Far beyond, the scores wrap: all are lost.
  for (double& v : images[extreme]) v *= 3;
  const Decrypted lost = engine.run(images);
  EXPECT_EQ(doubtful(lost.doubts).size(), images.size());
  EXPECT_TRUE(std::isnan(lost.scores[0][0]));
}

}  // namespace
}  // namespace sotto::client
