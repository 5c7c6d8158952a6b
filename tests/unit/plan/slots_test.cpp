// The schedule carried out on plain slots, with rotations and masks as on ciphertexts, gives what the plan means:
// pixels keep to their images, and nothing but the mask keeps neighbours out.
#include <gtest/gtest.h>

#include <map>

#include "circuit/interpret.h"
#include "plan/schedule.h"
#include "support/plan_builder.h"

namespace sotto::plan {
namespace {

using namespace test::kinds;
using Slots = std::vector<double>;
using Values = std::vector<double>;

struct Simulation {
  explicit Simulation(const Plan& p)
      : plan(p), slots(std::size_t{1} << p.parameters.log_n), tile2(static_cast<std::size_t>(p.tile.area())) {}

  const Plan& plan;
  const std::size_t slots, tile2;
  std::map<std::array<int, 3>, Slots> held;  // tensor, phase, channel

  [[nodiscard]] Slots rotated(const Slots& s, std::int64_t by) const {
    Slots out(slots);
    const auto n = static_cast<std::int64_t>(slots);
    for (std::int64_t j = 0; j < n; ++j)
      out[static_cast<std::size_t>(j)] = s[static_cast<std::size_t>(((j + by) % n + n) % n)];
    return out;
  }

  void run(const Task& task) {
    const Step& step = plan.steps[static_cast<std::size_t>(task.step)];
    const Layout& out = plan.tensors[static_cast<std::size_t>(step.output)].layout;
    for (int o = 0; o < out.channels; ++o) {
      Slots sum(slots), totals(slots);
      bool full = false;
      for (const Tap& tap : task.taps) {
        const Term& term = step.terms[static_cast<std::size_t>(tap.term)];
        const Layout& in = plan.tensors[static_cast<std::size_t>(term.source)].layout;
        for (int i = 0; i < in.channels; ++i) {
          const Slots source = rotated(held.at({term.source, tap.source.phase, i}), tap.source.rotation);
          const std::size_t row =
              static_cast<std::size_t>(o) * static_cast<std::size_t>(in.channels) + static_cast<std::size_t>(i);
          if (term.kind == Term::Kind::full) {
            full = true;
            for (int y = 0; y < in.height; ++y)
              for (int x = 0; x < in.width; ++x) {
                const Place place = place_of(in, plan.tile, y, x);
                if (place.phase != tap.source.phase) continue;
                const double w =
                    term.weights[(row * static_cast<std::size_t>(in.height) + static_cast<std::size_t>(y)) *
                                     static_cast<std::size_t>(in.width) +
                                 static_cast<std::size_t>(x)];
                for (std::size_t j = static_cast<std::size_t>(place.position); j < slots; j += tile2)
                  totals[j] += w * source[j];
              }
            continue;
          }
          const double w = term.weights[row * static_cast<std::size_t>(term.kernel_h * term.kernel_w) +
                                        static_cast<std::size_t>(tap.tap)];
          for (std::size_t j = 0; j < slots; ++j)
            if (tap.mask.empty() || tap.mask[j % tile2] != 0) sum[j] += w * source[j];
        }
      }
      if (full)
        for (std::int64_t r : sum_rotations(plan.tile.area())) {
          const Slots other = rotated(totals, r);
          for (std::size_t j = 0; j < slots; ++j) totals[j] += other[j];
        }
      const bool per_channel = step.bias.size() == static_cast<std::size_t>(out.channels);
      Slots bias(slots);
      for (int y = 0; y < out.height; ++y)
        for (int x = 0; x < out.width; ++x) {
          const Place place = place_of(out, plan.tile, y, x);
          if (place.phase != task.phase) continue;
          const std::size_t pixel = static_cast<std::size_t>((o * out.height + y) * out.width + x);
          for (std::size_t j = static_cast<std::size_t>(place.position); j < slots; j += tile2)
            bias[j] = step.bias[per_channel ? static_cast<std::size_t>(o) : pixel];
        }
      for (std::size_t j = 0; j < slots; ++j) {
        sum[j] += totals[j] + bias[j];
        if (step.kind == square) sum[j] *= sum[j];
      }
      held[{step.output, task.phase, o}] = std::move(sum);
    }
  }
};

void expect_slots_match_interpreter(const Plan& p) {
  Simulation s(p);
  std::vector<std::map<int, Values>> truth(static_cast<std::size_t>(p.batch));
  const Layout& in = p.input().layout;
  for (int phase = 0; phase < in.phase_count(); ++phase)
    for (int c = 0; c < in.channels; ++c)
      s.held[{0, phase, c}] = Slots(s.slots, 1e6);  // whatever no pixel covers must not count
  for (int b = 0; b < p.batch; ++b) {
    const auto image = test::random_values(static_cast<std::size_t>(in.channels * in.height * in.width),
                                           static_cast<unsigned>(50 + b), 1);
    circuit::interpret(view(p), image, [&](int t, std::span<const double> v) {
      truth[static_cast<std::size_t>(b)][t].assign(v.begin(), v.end());
    });
    for (int c = 0; c < in.channels; ++c)
      for (int y = 0; y < in.height; ++y)
        for (int x = 0; x < in.width; ++x) {
          const Place place = place_of(in, p.tile, y, x);
          s.held[{0, place.phase, c}]
                [static_cast<std::size_t>(b) * s.tile2 + static_cast<std::size_t>(place.position)] =
              image[static_cast<std::size_t>((c * in.height + y) * in.width + x)];
        }
  }
  for (const Task& task : make_schedule(p).tasks) s.run(task);
  for (std::size_t t = 1; t < p.tensors.size(); ++t) {
    const Layout& l = p.tensors[t].layout;
    for (int b = 0; b < p.batch; ++b) {
      Values seen;
      for (int c = 0; c < l.channels; ++c)
        for (int y = 0; y < l.height; ++y)
          for (int x = 0; x < l.width; ++x) {
            const Place place = place_of(l, p.tile, y, x);
            seen.push_back(
                s.held.at({static_cast<int>(t), place.phase,
                           c})[static_cast<std::size_t>(b) * s.tile2 + static_cast<std::size_t>(place.position)]);
          }
      ASSERT_LT(test::relative_error(seen, truth[static_cast<std::size_t>(b)][static_cast<int>(t)]), 1e-9)
          << "tensor " << t << " image " << b;
    }
  }
}

TEST(Slots, ResidualBlockOverFourPhases) { expect_slots_match_interpreter(test::small_plan()); }

TEST(Slots, OddSizesAndGaps) {
  test::PlanBuilder b(10, 8, {2, 7, 5, 1, 1}, 5);
  const int x = b.step({b.convolution(0, 3, 3, 2, 1)}, {3, 4, 3, 1, 2}, square, true);
  const int y = b.step({b.convolution(x, 2, 3, 1, 1)}, {2, 4, 3, 1, 2}, square);
  const int z = b.step({b.full(y, 4)}, {4, 1, 1, 1, 8}, square);
  b.step({b.convolution(z, 3, 1, 1, 0)}, {3, 1, 1, 1, 8}, keep);
  expect_slots_match_interpreter(b.build());
}

TEST(Slots, ManyPhasesOfSmallTiles) {
  test::PlanBuilder b(6, 2, {1, 8, 8, 4, 1}, 4);
  const int x = b.step({b.convolution(0, 2, 5, 2, 2)}, {2, 4, 4, 2, 1}, square, true);
  const int y = b.step({b.convolution(x, 2, 3, 2, 1)}, {2, 2, 2, 1, 1}, square);
  b.step({b.full(y, 2)}, {2, 1, 1, 1, 2}, keep);
  expect_slots_match_interpreter(b.build());
}

TEST(Slots, OnePixelTiles) {
  test::PlanBuilder b(6, 1, {1, 4, 4, 4, 1}, 3);
  const int x = b.step({b.convolution(0, 2, 3, 1, 1)}, {2, 4, 4, 4, 1}, square);
  b.step({b.full(x, 2)}, {2, 1, 1, 1, 1}, keep);
  expect_slots_match_interpreter(b.build());
}

}  // namespace
}  // namespace sotto::plan
