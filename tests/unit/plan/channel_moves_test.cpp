// How channels that share ciphertexts meet: moves of places, their split into sources' rotations and giant steps, keys.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "plan/schedule.h"
#include "support/expect_error.h"
#include "support/places.h"
#include "support/plan_builder.h"

namespace sotto::plan {
namespace {

using namespace test::kinds;

// Layers from `in` to `out` channels and on to three scores, in one image or in four.
Plan layers(int group, int in, int out, bool one_image, int baby) {
  int log_n = one_image ? 4 : 6;
  for (int g = 1; g < group; g *= 2) ++log_n;
  test::PlanBuilder b(log_n, 4, {in, 4, 4, 1, 1, group}, 4, 2);
  b.baby = baby;
  const int x = b.step({b.convolution(0, out, 3, 1, 1)}, {out, 4, 4, 1, 1}, square);
  b.step({b.full(x, 3)}, {3, 1, 1, 1, 4}, keep);
  return b.build();
}

std::vector<Plan> plans() {
  std::vector<Plan> out{test::small_plan(), test::small_grouped_plan()};
  for (bool one_image : {true, false})
    for (const auto& [group, baby] :
         {std::pair(2, 1), std::pair(4, 2), std::pair(8, 1), std::pair(8, 4), std::pair(8, 8)})
      for (const auto& [c, d] : {std::pair(1, 1), std::pair(1, 7), std::pair(3, 2), std::pair(8, 8), std::pair(20, 3)})
        out.push_back(layers(group, c, d, one_image, baby));
  return out;
}

const Layout& layout(const Plan& p, int tensor) { return p.tensors[static_cast<std::size_t>(tensor)].layout; }
const Step& step_of(const Plan& p, const Task& t) { return p.steps[static_cast<std::size_t>(t.step)]; }
int floor_div(int a, int b) { return (a - ((a % b) + b) % b) / b; }

// The moves that a term needs, weight by weight.
std::set<int> needed_moves(const Plan& p, const Step& step, const Term& term) {
  const Layout &in = layout(p, term.source), &out = layout(p, step.output);
  const std::size_t taps = term.weights.size() / static_cast<std::size_t>(in.channels * out.channels);
  std::set<int> moves;
  for (std::size_t k = 0; k < term.weights.size(); ++k) {
    if (term.weights[k] == 0) continue;
    const int pair = static_cast<int>(k / taps), o = pair / in.channels, i = pair % in.channels;
    for (int s = 0; s < out.group; ++s)
      if (test::channel_of_place(out, o / out.group, s) == o)
        moves.insert(packing::channel_move(in, s, i % in.group, p.batch == 1));
  }
  return moves;
}

TEST(Layout, PlacesHoldChannels) {
  for (int group : {1, 2, 4, 16})
    for (int channels = 1; channels <= 40; ++channels) {
      const Layout l{channels, 4, 4, 2, 1, group};
      EXPECT_EQ(l.blocks(), (channels - 1) / group + 1);
      EXPECT_EQ(l.ciphertexts(), 4 * l.blocks());
      std::map<int, int> places;
      for (int block = 0; block < l.blocks(); ++block)
        for (int s = 0; s < group; ++s) {
          EXPECT_EQ(l.channel_at(block, s), test::channel_of_place(l, block, s));
          ++places[l.channel_at(block, s)];
        }
      places.erase(-1);
      ASSERT_EQ(places.size(), static_cast<std::size_t>(channels)) << "every channel has a place";
      for (const auto& [channel, count] : places) EXPECT_EQ(count, group / l.places()) << channel;
    }
}

TEST(ChannelMove, BringsTheChannelToThePlace) {
  for (const Plan& p : plans())
    for (const Tensor& t : p.tensors) {
      const Layout& in = t.layout;
      for (int s = 0; s < in.group; ++s)
        for (int c = 0; c < std::min(in.channels, in.group); ++c) {
          const int move = packing::channel_move(in, s, c, p.batch == 1);
          int from = s + move;
          if (p.batch == 1) from %= in.group;
          ASSERT_TRUE(from >= 0 && from < in.group) << "places of other images: " << s << " " << c;
          EXPECT_EQ(test::channel_of_place(in, 0, from), c);
          EXPECT_LT(std::abs(move), in.places());
          EXPECT_TRUE(move >= 0 || p.batch > 1) << "one direction if one image fills the ciphertext";
        }
    }
}

TEST(ChannelMove, FarFewerThanPairs) {
  // One image: one move per place of the sources, whatever the outputs.
  for (const auto& [in, moves] : {std::pair(1, 1), std::pair(3, 4), std::pair(8, 8), std::pair(20, 8)}) {
    const Plan p = layers(8, in, 8, true, 1);
    EXPECT_EQ(channel_moves(p, p.steps[0], p.steps[0].terms[0]).size(), static_cast<std::size_t>(moves)) << in;
  }
}

TEST(ChannelMoves, AreThoseThatWeightsNeed) {
  for (Plan p : plans()) {
    if (p.group() == 1) continue;
    for (Step& step : p.steps)
      for (Term& term : step.terms) {
        EXPECT_EQ(channel_moves(p, step, term), needed_moves(p, step, term));
        for (std::size_t k = 0; k < term.weights.size(); ++k)  // a few pairs of channels only
          if (k / 9 % 5 != 1 || k % 2 != 0) term.weights[k] = 0;
        EXPECT_EQ(channel_moves(p, step, term), needed_moves(p, step, term));
      }
  }
  const Plan p = test::small_grouped_plan();
  EXPECT_EQ(channel_moves(p, p.steps[2], p.steps[2].terms[1]), std::set<int>{0}) << "a shortcut moves nothing";
}

TEST(GroupedSchedule, TapsAreThoseOfSingleChannelsAtEveryShift) {
  for (const Plan& p : plans()) {
    Plan single = p;
    for (Tensor& t : single.tensors) t.layout.group = 1;
    const Schedule schedule = make_schedule(p), plain = make_schedule(single);
    ASSERT_EQ(schedule.tasks.size(), plain.tasks.size());
    for (std::size_t t = 0; t < schedule.tasks.size(); ++t) {
      const Task& task = schedule.tasks[t];
      const Step& step = step_of(p, task);
      using Key = std::tuple<int, int, Source, std::vector<std::uint8_t>, int>;
      std::multiset<Key> expected, actual;
      int first = 0, last = 0;
      std::vector<std::set<int>> shifts;
      for (const Term& term : step.terms) {
        shifts.emplace_back();
        for (int move : p.group() > 1 ? needed_moves(p, step, term) : std::set{0}) {
          const int giant = floor_div(move, step.baby);
          first = std::min(first, giant), last = std::max(last, giant);
          shifts.back().insert(move - giant * step.baby);
        }
      }
      for (const Tap& tap : plain.tasks[t].taps)
        for (int shift : shifts[static_cast<std::size_t>(tap.term)]) {
          Source source = tap.source;
          source.rotation += shift * p.tile.area();
          expected.insert({tap.term, tap.tap, source, tap.mask, shift});
        }
      for (const Tap& tap : task.taps) actual.insert({tap.term, tap.tap, tap.source, tap.mask, tap.shift});
      EXPECT_EQ(actual, expected) << "task " << t;
      EXPECT_EQ(task.first_giant, first);
      EXPECT_EQ(task.last_giant, last);
    }
  }
}

TEST(GroupedSchedule, KeysForEveryRotationGiantStepSquareAndSum) {
  for (const Plan& p : plans()) {
    const std::uint64_t slots = std::uint64_t{1} << p.parameters.log_n;
    const Schedule schedule = make_schedule(p);
    std::set<ckks::KeyId> all;
    for (const Task& task : schedule.tasks) {
      const Step& step = step_of(p, task);
      const int tier = step.level.limbs <= 2 ? 1 : 0, tile2 = p.tile.area();
      std::set<std::int64_t> rotations;
      for (const Tap& tap : task.taps) {
        const std::int64_t channels = std::int64_t{tap.shift} * tile2;  // first channels move, then pixels
        rotations.insert(channels);
        rotations.insert(tap.source.rotation - channels);
        if (step.terms[static_cast<std::size_t>(tap.term)].kind == Term::Kind::full)
          for (int r = 1; r < tile2; r *= 2) rotations.insert(r);
      }
      if (task.first_giant < 0) rotations.insert(-step.baby * tile2);
      if (task.last_giant > 0) rotations.insert(step.baby * tile2);
      std::set<ckks::KeyId> expected;
      if (step.kind == square) expected.insert({tier, 0});
      for (std::int64_t r : rotations) {
        std::uint64_t g = 1;
        for (std::uint64_t k = 0; k < static_cast<std::uint64_t>(r + static_cast<std::int64_t>(slots)) % slots; ++k)
          g = g * 5 % (4 * slots);
        if (g != 1) expected.insert({tier, g});
      }
      EXPECT_EQ(keys_of(p, task), expected);
      all.merge(expected);
    }
    EXPECT_EQ(required_keys(p, schedule), std::vector<ckks::KeyId>(all.begin(), all.end()));
  }
}

TEST(GroupedSchedule, PeriodsOfWeights) {
  // Tiles of 16: several images, and one whose sources or results have fewer channels than places.
  for (const auto& [in, out, one_image, period] :
       {std::tuple(1, 1, false, 128), std::tuple(8, 8, true, 128), std::tuple(20, 2, true, 128),
        std::tuple(2, 5, true, 128), std::tuple(2, 4, true, 64), std::tuple(3, 1, true, 64),
        std::tuple(1, 1, true, 64)}) {
    const Plan p = layers(8, in, out, one_image, 1);
    EXPECT_EQ(step_period(p, p.steps[0]), static_cast<std::size_t>(period)) << in << " " << out;
  }
}

TEST(Tiers, TheSmallestThatServes) {
  Plan p = test::small_plan();
  p.keys.tiers = {{3, 2}, {5, 3}, {1, 1}};
  const std::vector<int> expected = {2, 0, 0, 1, 1};
  for (int limbs = 1; limbs <= 5; ++limbs) EXPECT_EQ(tier_of(p, limbs), expected[static_cast<std::size_t>(limbs - 1)]);
  EXPECT_TRUE(test::refuses([&] { (void)tier_of(p, 6); }, {"tier"}));
}

}  // namespace
}  // namespace sotto::plan
