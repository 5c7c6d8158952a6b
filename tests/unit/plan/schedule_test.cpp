// Every tap of the schedule reads the pixel that the convolution means, by a slow and direct count.
#include "plan/schedule.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "support/expect_error.h"
#include "support/plan_builder.h"

namespace sotto::plan {
namespace {

using namespace test::kinds;

// Where a pixel lies, from the description of plan::Layout.
struct Where {
  int phase, position;
};
Where where(const Layout& l, const Axes& tile, int y, int x) {
  const int canvas_y = y * l.gap.h, canvas_x = x * l.gap.w;
  return {(canvas_y % l.phases.h) * l.phases.w + canvas_x % l.phases.w,
          (canvas_y / l.phases.h) * tile.w + canvas_x / l.phases.w};
}

// Plans of one convolution each, of many geometries, and the small plan of all kinds of terms.
std::vector<Plan> plans() {
  std::vector<Plan> out{test::small_plan()};
  struct {
    Axes tile;
    int channels, height, width;
    Axes phases;
    int kernel, stride, pad;
    Axes out_phases, out_gap;
  } const shapes[] = {{4, 1, 4, 4, 1, 3, 1, 1, 1, 1},
                      {4, 2, 8, 8, 2, 3, 1, 1, 2, 1},
                      {4, 1, 16, 16, 4, 5, 2, 2, 2, 1},
                      {4, 1, 16, 16, 4, 3, 4, 1, 1, 1},
                      {4, 1, 8, 8, 2, 3, 4, 1, 1, 2},
                      {8, 1, 7, 5, 1, 3, 2, 0, 1, 2},
                      {8, 1, 13, 11, 2, 4, 1, 2, 2, 1},
                      {8, 1, 9, 9, 2, 9, 1, 0, 2, 1},
                      {2, 1, 8, 8, 4, 3, 1, 1, 4, 1},
                      {1, 1, 4, 4, 4, 2, 2, 0, 2, 1},
                      {4, 1, 8, 3, 2, 1, 2, 0, 1, 1},
                      {4, 1, 4, 4, 1, 3, 3, 1, 1, 3},
                      {{4, 8}, 1, 8, 8, {2, 1}, 3, 1, 1, {2, 1}, 1},
                      {{4, 8}, 2, 8, 8, {2, 1}, 3, 2, 1, 1, {1, 2}},
                      {{1, 16}, 1, 1, 30, {1, 2}, 1, 1, 0, {1, 2}, 1},
                      {{8, 2}, 1, 7, 5, {1, 4}, 3, 2, 0, {1, 2}, {2, 1}}};
  for (const auto& s : shapes) {
    test::PlanBuilder b(10, s.tile, {s.channels, s.height, s.width, s.phases, 1}, 3);
    const int h = (s.height + 2 * s.pad - s.kernel) / s.stride + 1, w = (s.width + 2 * s.pad - s.kernel) / s.stride + 1;
    const int x = b.step({b.convolution(0, 2, s.kernel, s.stride, s.pad)}, {2, h, w, s.out_phases, s.out_gap}, square);
    b.step({b.full(x, 2)}, {2, 1, 1, 1, 1}, keep);
    out.push_back(b.build());
  }
  return out;
}

TEST(Schedule, PixelsHaveDistinctPlaces) {
  for (const Plan& p : plans())
    for (const Tensor& t : p.tensors) {
      std::set<std::pair<int, int>> places;
      for (int y = 0; y < t.layout.height; ++y)
        for (int x = 0; x < t.layout.width; ++x) {
          const Place place = place_of(t.layout, p.tile, y, x);
          const Where expected = where(t.layout, p.tile, y, x);
          EXPECT_EQ(place.phase, expected.phase);
          EXPECT_EQ(place.position, expected.position);
          EXPECT_TRUE(place.phase >= 0 && place.phase < t.layout.phase_count());
          EXPECT_TRUE(place.position >= 0 && place.position < p.tile.area());
          EXPECT_TRUE(places.insert({place.phase, place.position}).second) << t.name << " " << y << "," << x;
        }
    }
}

TEST(Schedule, EveryPhaseOfEveryStepOnce) {
  for (const Plan& p : plans()) {
    const Schedule schedule = make_schedule(p);
    std::map<int, std::set<int>> phases;
    int step = 0;
    for (const Task& t : schedule.tasks) {
      EXPECT_GE(t.step, step) << "steps in order";
      step = t.step;
      EXPECT_TRUE(phases[t.step].insert(t.phase).second);
    }
    for (std::size_t s = 0; s < p.steps.size(); ++s) {
      const int count = p.tensors[static_cast<std::size_t>(p.steps[s].output)].layout.phase_count();
      EXPECT_EQ(phases[static_cast<int>(s)].size(), static_cast<std::size_t>(count));
      EXPECT_EQ(*phases[static_cast<int>(s)].rbegin(), count - 1);
    }
  }
}

TEST(Schedule, EveryTapReadsTheRightPixels) {
  for (const Plan& p : plans()) {
    const Schedule schedule = make_schedule(p);
    for (const Task& task : schedule.tasks) {
      const Step& step = p.steps[static_cast<std::size_t>(task.step)];
      const Layout& out = p.tensors[static_cast<std::size_t>(step.output)].layout;
      for (std::size_t k = 0; k < step.terms.size(); ++k) {
        const Term& term = step.terms[k];
        if (term.kind == Term::Kind::full) continue;
        const Layout& in = p.tensors[static_cast<std::size_t>(term.source)].layout;
        for (int ky = 0; ky < term.kernel_h; ++ky)
          for (int kx = 0; kx < term.kernel_w; ++kx) {
            const Tap* tap = nullptr;
            for (const Tap& t : task.taps) {
              if (t.term != static_cast<int>(k) || t.tap != ky * term.kernel_w + kx) continue;
              ASSERT_EQ(tap, nullptr) << "one tap for each place of the kernel";
              tap = &t;
            }
            std::vector<std::uint8_t> mask(static_cast<std::size_t>(p.tile.area()));
            for (int y = 0; y < out.height; ++y)
              for (int x = 0; x < out.width; ++x) {
                const Where to = where(out, p.tile, y, x);
                const int iy = y * term.stride_h + ky - term.pad_top, ix = x * term.stride_w + kx - term.pad_left;
                if (to.phase != task.phase || iy < 0 || ix < 0 || iy >= in.height || ix >= in.width) continue;
                const Where from = where(in, p.tile, iy, ix);
                ASSERT_NE(tap, nullptr);
                EXPECT_EQ(tap->source.tensor, term.source);
                EXPECT_EQ(tap->source.phase, from.phase);
                EXPECT_EQ(tap->source.rotation, from.position - to.position);
                mask[static_cast<std::size_t>(to.position)] = 1;
              }
            const bool none = std::count(mask.begin(), mask.end(), 1) == 0,
                       all = std::count(mask.begin(), mask.end(), 0) == 0;
            EXPECT_EQ(tap == nullptr, none) << "no tap where no pixel reads";
            EXPECT_TRUE(none || tap->mask == (all ? std::vector<std::uint8_t>{} : mask));
          }
      }
    }
  }
}

TEST(Schedule, FullTermsReadEveryPhaseUnrotated) {
  for (const Plan& p : plans()) {
    const Schedule schedule = make_schedule(p);
    const Task& last = schedule.tasks.back();
    const Term& term = p.steps.back().terms[0];
    ASSERT_EQ(term.kind, Term::Kind::full);
    const int phases = p.tensors[static_cast<std::size_t>(term.source)].layout.phase_count();
    ASSERT_EQ(last.taps.size(), static_cast<std::size_t>(phases));
    for (int i = 0; i < phases; ++i) {
      EXPECT_EQ(last.taps[static_cast<std::size_t>(i)].tap, i);
      EXPECT_EQ(last.taps[static_cast<std::size_t>(i)].source, (Source{term.source, i, 0}));
    }
  }
}

// A phase is read by the tasks with taps that do not rotate it, and by the first task of each of its rotated copies.
TEST(Schedule, UsesOfPhasesAndOfTheirCopies) {
  for (const Plan& p : plans()) {
    const Schedule schedule = make_schedule(p);
    std::map<Source, std::map<int, ckks::Level>> uses;
    for (int t = 0; t < static_cast<int>(schedule.tasks.size()); ++t) {
      const Task& task = schedule.tasks[static_cast<std::size_t>(t)];
      const ckks::Level& level = p.steps[static_cast<std::size_t>(task.step)].level;
      for (const Tap& tap : task.taps) {
        const Source phase{tap.source.tensor, tap.source.phase, 0};
        if (tap.source.rotation != 0 && !uses.contains(tap.source)) uses[phase].insert({t, level});
        uses[tap.source].insert({t, level});
      }
    }
    ASSERT_EQ(schedule.uses.size(), uses.size());
    for (const auto& [source, list] : schedule.uses)
      EXPECT_EQ(list, (std::vector<std::pair<int, ckks::Level>>(uses.at(source).begin(), uses.at(source).end())));
  }
}

TEST(Schedule, KeysForEveryRotationSquareAndSum) {
  for (const Plan& p : plans()) {
    const std::uint64_t order = std::uint64_t{4} << p.parameters.log_n;
    const auto galois_element = [&](std::int64_t rotation) {
      std::uint64_t g = 1;
      const std::int64_t slots = std::int64_t{1} << p.parameters.log_n;
      for (std::int64_t k = 0; k < ((rotation % slots) + slots) % slots; ++k) g = g * 5 % order;
      return g;
    };
    std::set<ckks::KeyId> expected;
    for (const Task& task : make_schedule(p).tasks) {
      const Step& step = p.steps[static_cast<std::size_t>(task.step)];
      const int tier = step.level.limbs <= 2 ? 1 : 0;
      for (const Tap& tap : task.taps) {
        if (tap.source.rotation != 0) expected.insert({tier, galois_element(tap.source.rotation)});
        if (step.terms[static_cast<std::size_t>(tap.term)].kind == Term::Kind::full)
          for (int r = 1; r < p.tile.area(); r *= 2) expected.insert({tier, galois_element(r)});
      }
      if (step.kind == square) expected.insert({tier, 0});
    }
    const auto keys = required_keys(p, make_schedule(p));
    EXPECT_EQ(std::vector<ckks::KeyId>(expected.begin(), expected.end()), keys);
  }
}

TEST(Schedule, SumRotations) {
  EXPECT_EQ(sum_rotations(1), std::vector<std::int64_t>{});
  EXPECT_EQ(sum_rotations(2), std::vector<std::int64_t>{1});
  EXPECT_EQ(sum_rotations(64), (std::vector<std::int64_t>{1, 2, 4, 8, 16, 32}));
}

TEST(Schedule, LayoutsThatDoNotFitEachOther) {
  // Three pixels of stride over two phases to a layout of one phase and no gap: one tap reads each pixel from another
  // phase or with another rotation.
  test::PlanBuilder b(10, 4, {1, 8, 8, 2, 1}, 3);
  const int x = b.step({b.convolution(0, 1, 1, 3, 0)}, {1, 3, 3, 1, 1}, square);
  b.step({b.full(x, 1)}, {1, 1, 1, 1, 1}, keep);
  const Plan p = b.build();
  const Schedule schedule = make_schedule(p);
  std::vector<int> read(16);
  for (const Tap& tap : schedule.tasks[0].taps)
    for (std::size_t k = 0; k < 16; ++k) {
      if (tap.mask[k] == 0) continue;
      const auto position = static_cast<int>(k), y = 3 * (position / 4), from = 3 * (position % 4);
      const Place place = place_of(p.input().layout, p.tile, y, from);
      EXPECT_EQ(tap.source.phase, place.phase);
      EXPECT_EQ(tap.source.rotation, place.position - position);
      ++read[k];
    }
  EXPECT_EQ(read, (std::vector<int>{1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 0, 0}));
}

TEST(Schedule, TapsWithoutWeightsAreLeftOut) {
  test::PlanBuilder b(10, 8, {1, 8, 8, 1, 1}, 3);
  Term t = b.convolution(0, 1, 3, 1, 1);
  for (std::size_t k = 0; k < 9; ++k)
    if (k != 4) t.weights[k] = 0;
  const int x = b.step({t}, {1, 8, 8, 1, 1}, square);
  b.step({b.full(x, 1)}, {1, 1, 1, 1, 1}, keep);
  const Schedule schedule = make_schedule(b.build());
  ASSERT_EQ(schedule.tasks[0].taps.size(), 1u);
  EXPECT_EQ(schedule.tasks[0].taps[0].source.rotation, 0);
}

TEST(Schedule, DilatedKernelsHaveTheirTapsOnly) {
  test::PlanBuilder b(10, 8, {1, 8, 8, 1, 1}, 3);
  Term t = b.convolution(0, 1, 3, 1, 2);
  t.dilation_h = t.dilation_w = 2;
  const int x = b.step({t}, {1, 8, 8, 1, 1}, square);
  b.step({b.full(x, 1)}, {1, 1, 1, 1, 1}, keep);
  const Schedule schedule = make_schedule(b.build());
  std::set<std::int64_t> rotations;
  for (const Tap& tap : schedule.tasks[0].taps) rotations.insert(tap.source.rotation);
  EXPECT_EQ(rotations, (std::set<std::int64_t>{-18, -16, -14, -2, 0, 2, 14, 16, 18}));
}

}  // namespace
}  // namespace sotto::plan
