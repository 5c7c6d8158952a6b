// The noise that encrypted runs have against the noise that plan::simulate predicts.
#include <gtest/gtest.h>

#include "plan/simulation.h"
#include "runtime/batch_run.h"
#include "support/plan_builder.h"
#include "support/toy_client.h"

namespace sotto::runtime {
namespace {

using plan::Layout;
using plan::Step;

// Root of the mean square over the values of one tensor.
struct Spread {
  double squares = 0;
  std::size_t count = 0;
  void add(double error) {
    squares += error * error;
    ++count;
  }
  [[nodiscard]] double rms() const { return std::sqrt(squares / static_cast<double>(count)); }
};

// Four layers, with taps that read rotated copies of the input, whose scale this is. early: sums are divided before
// they are squared.
plan::Plan four_layers(double input_scale, bool early = false) {
  test::PlanBuilder b(12, 8, {3, 16, 16, 2, 1}, 5);
  b.plan.tensors.front().scale = input_scale;
  if (early) {
    b.early = 1;
    b.late = 0;
    b.log_scale = 32;  // divided sums have half the bits
  }
  const int x = b.step({b.convolution(0, 6, 3, 1, 1)}, {6, 16, 16, 2, 1}, plan::Kind::square);
  const int y = b.step({b.convolution(x, 6, 3, 2, 1)}, {6, 8, 8, 1, 1}, plan::Kind::square);
  b.late = 1;
  b.log_scale = 22;
  const int z = b.step({b.convolution(y, 6, 3, 1, 1), b.convolution(x, 6, 1, 2, 0)}, {6, 8, 8, 1, 1}, plan::Kind::sum);
  b.step({b.full(z, 4)}, {4, 1, 1, 1, 8}, test::kinds::keep);
  return b.build();
}

enum class By { owner, others };  // who encrypts

// Measured over predicted errors, by tensor from the first result on.
std::vector<double> measured_noise(const plan::Plan& p, By by) {
  test::ToyClient client(p);

  std::vector<std::vector<double>> images;
  std::vector<std::vector<std::vector<double>>> truth(p.batch, std::vector<std::vector<double>>(p.tensors.size()));
  std::vector<Spread> predicted(p.tensors.size()), measured(p.tensors.size());
  for (int i = 0; i < p.batch; ++i) {
    images.push_back(test::random_values(3 * 16 * 16, 100 + static_cast<unsigned>(i), 1.0));
    circuit::interpret(plan::view(p), images.back(),
                       [&](int t, std::span<const double> v) { truth[i][t].assign(v.begin(), v.end()); });
  }
  plan::SimulationHooks hooks;
  hooks.observe = [&](int t, std::size_t image, std::span<const double> v) {
    for (std::size_t k = 0; k < v.size(); ++k) predicted[t].add(v[k] - truth[image][t][k]);
  };
  for (unsigned seed = 0; seed < 8; ++seed) (void)plan::simulate(p, images, seed, hooks);
  const Model model(p, client.parameters, client.ring);
  RunOptions options;
  options.observe = [&](int t, int phase, const std::vector<ckks::PackedCiphertext>& channels) {
    const Layout& l = p.tensors[t].layout;
    for (int c = 0; c < l.channels; ++c) {
      const auto slots = client.slots(ckks::unpack(*client.ring, channels[c], channels[c].level()));
      for (int i = 0; i < p.batch; ++i)
        for (int row = 0; row < l.height; ++row)
          for (int column = 0; column < l.width; ++column) {
            const plan::Place place = plan::place_of(l, p.tile, row, column);
            if (place.phase == phase)
              measured[t].add(slots[static_cast<std::size_t>(i) * p.tile.area() + place.position] -
                              truth[i][t][(static_cast<std::size_t>(c) * l.height + row) * l.width + column]);
          }
    }
  };
  BatchRun run(model, client.keys, options);
  (void)run.execute(by == By::owner ? client.encrypt(images) : client.encrypt_with_public_key(images));
  std::vector<double> ratios;
  for (std::size_t t = 1; t < p.tensors.size(); ++t) {
    EXPECT_GT(measured[t].count, 0u);
    ratios.push_back(measured[t].rms() / predicted[t].rms());
  }
  return ratios;
}

// The same over several keys.
std::vector<double> mean_ratios(const plan::Plan& p, int keys) {
  std::vector<double> squares(p.tensors.size() - 1);
  for (int key = 0; key < keys; ++key) {
    const std::vector<double> ratios = measured_noise(p, By::others);
    for (std::size_t t = 0; t < squares.size(); ++t) squares[t] += ratios[t] * ratios[t] / keys;
  }
  for (double& s : squares) s = std::sqrt(s);
  return squares;
}

TEST(Noise, MeasuredErrorsOfEveryLayerAreThosePredicted) {
  for (double ratio : measured_noise(four_layers(0x1p22), By::others)) EXPECT_NEAR(ratio, 1, 0.1);
}

// What a division errs by differs from slot to slot, as the values of the secret do, and the square weighs it: single
// keys are off by several hundredths.
TEST(Noise, DivisionsBeforeSquares) {
  const plan::Plan p = four_layers(0x1p30, true);
  for (double ratio : mean_ratios(p, 8)) EXPECT_NEAR(ratio, 1, 0.1);
}

// Predictions hold whoever encrypts: under the secret key inputs err less.
TEST(Noise, OwnersErrLess) {
  const std::vector<double> ratios = measured_noise(four_layers(0x1p15), By::owner);
  EXPECT_LT(ratios.front(), 0.9);
  for (double ratio : ratios) EXPECT_LT(ratio, 1.1);
}

// At a small scale the switch of keys that rotates a copy errs as much as the input's encryption. What sums have in
// common by reading the same copies is not predicted, and differs from key to key.
TEST(Noise, RotatedCopiesErrAnew) {
  for (double ratio : mean_ratios(four_layers(0x1p13), 8)) EXPECT_NEAR(ratio, 1, 0.4);
}

}  // namespace
}  // namespace sotto::runtime
