// Channels in the gaps behind strides: where they lie, which ways they go, what a plan file may say of them.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "circuit/interpret.h"
#include "circuit/term.h"
#include "packing/lay_out.h"
#include "plan/identity.h"
#include "plan/plan_file.h"
#include "plan/probe.h"
#include "plan/products.h"
#include "plan/simulation.h"
#include "plan/verify.h"
#include "support/expect_error.h"
#include "support/files.h"
#include "support/places.h"
#include "support/plan_builder.h"

namespace sotto::plan {
namespace {

using namespace test::kinds;
using test::PlanBuilder;

TEST(Gaps, EveryPixelOfABlockHasItsSlot) {
  const Plan p = test::small_gaps_plan();
  for (const Tensor& t : p.tensors) {
    const Layout& l = t.layout;
    ASSERT_EQ(l.together(), test::places_of_block(l));
    std::set<std::tuple<int, int, int>> slots;  // block, phase, slot
    std::set<int> channels;
    for (int block = 0; block < l.blocks(); ++block)
      for (int s = 0; s < l.together(); ++s) {
        const int channel = l.channel_at(block, s);
        EXPECT_EQ(channel, test::channel_of_place(l, block, s));
        if (channel < 0) continue;
        channels.insert(channel);
        for (int y = 0; y < l.height; ++y)
          for (int x = 0; x < l.width; ++x) {
            const Place at = place_of(l, p.tile, y, x);
            const int slot = at.position + packing::offset_of(l, p.tile, s);
            EXPECT_EQ(static_cast<std::size_t>(slot), test::slot_of(p, l, 0, s, at.position));
            EXPECT_TRUE(slot >= 0 && slot < p.tile.area());
            EXPECT_TRUE(slots.insert({block, at.phase, slot}).second) << t.name;
          }
      }
    EXPECT_EQ(channels.size(), static_cast<std::size_t>(l.channels));
  }
}

TEST(Gaps, GiantStepsAreTheWaysBetweenPlaces) {
  const Plan p = test::small_gaps_plan();
  for (const Task& task : make_schedule(p).tasks) {
    const Step& step = p.steps[static_cast<std::size_t>(task.step)];
    const Layout& out = p.tensors[static_cast<std::size_t>(step.output)].layout;
    std::set<int> ways{0};
    std::set<std::pair<int, int>> turned;
    for (const Term& term : step.terms) {
      const Layout& in = p.tensors[static_cast<std::size_t>(term.source)].layout;
      circuit::for_each_pair(term, in, out, [&](int o, int i, const double* w) {
        if (term.kind == Term::Kind::full || *w == 0) return;
        const int way = static_cast<int>(test::slot_of(p, in, 0, i % in.together(), 0)) -
                        static_cast<int>(test::slot_of(p, out, 0, o % out.together(), 0));
        ways.insert(way);
        if (way != 0) turned.insert({way, o / out.together()});
      });
    }
    if (!fills_gaps(p, step)) {
      EXPECT_TRUE(task.giants.empty());
      continue;
    }
    EXPECT_EQ(std::set(task.giants.begin(), task.giants.end()), ways);
    EXPECT_TRUE(std::ranges::is_sorted(task.giants));
    EXPECT_EQ(task.turned_sums, turned.size());
    EXPECT_EQ(giant_rows(p, task).size(), turned.size() + static_cast<std::size_t>(out.blocks()));
  }
}

// Every pair of channels with a weight is multiplied once for every tap, in the row that its way and its output say.
TEST(Gaps, ProductsAreComplete) {
  const Plan p = test::small_gaps_plan();
  for (const Task& task : make_schedule(p).tasks) {
    const Step& step = p.steps[static_cast<std::size_t>(task.step)];
    if (!fills_gaps(p, step)) continue;
    const Layout& out = p.tensors[static_cast<std::size_t>(step.output)].layout;
    const std::vector<GiantRow> rows = giant_rows(p, task);
    std::set<std::tuple<int, int, int, int>> multiplied;  // way, block of outputs, tap, block of inputs
    std::map<int, int> begun;
    for (const Product& product : products_in_gaps(p, task, rows)) {
      for (int r = product.row; r < product.row + product.rows; ++r) {
        if (product.first) ++begun[r];
        EXPECT_EQ(begun[r], 1) << "a row begins once, and before it is added to";
        for (const Product::Columns& c : product.columns)
          for (int i = c.channel; i < c.channel + c.count; ++i) {
            const GiantRow& row = rows[static_cast<std::size_t>(r)];
            EXPECT_TRUE(multiplied.insert({row.giant, row.block, c.tap, i}).second);
          }
      }
    }
    EXPECT_EQ(begun.size(), rows.size());
    EXPECT_EQ(multiplied.size(), task.products);
    for (std::size_t k = 0; k < task.taps.size(); ++k) {
      const Term& term = step.terms[static_cast<std::size_t>(task.taps[k].term)];
      const Layout& in = p.tensors[static_cast<std::size_t>(term.source)].layout;
      circuit::for_each_pair(term, in, out, [&](int o, int i, const double* w) {
        if (*w == 0) return;
        const int way = term.kind == Term::Kind::full ? 0
                                                      : packing::offset_of(in, p.tile, i % in.together()) -
                                                            packing::offset_of(out, p.tile, o % out.together());
        EXPECT_TRUE(multiplied.contains({way, o / out.together(), static_cast<int>(k), i / in.together()}));
      });
    }
  }
}

TEST(Gaps, SimulationIsTheInterpretationButForErrors) {
  Plan p = test::small_gaps_plan();
  for (Tensor& t : p.tensors) t.scale = 0x1p40;
  for (Step& s : p.steps) s.scale = 0x1p90;
  std::vector<std::vector<double>> images;
  for (unsigned k = 0; k < 3; ++k) images.push_back(test::random_values(128, 1 + k, 1));
  std::vector<std::map<int, std::vector<double>>> seen(images.size());
  SimulationHooks hooks;
  hooks.observe = [&](int t, std::size_t k, std::span<const double> v) { seen[k][t].assign(v.begin(), v.end()); };
  (void)simulate(p, images, 1, hooks);
  for (std::size_t k = 0; k < images.size(); ++k)
    circuit::interpret(view(p), images[k], [&](int t, std::span<const double> v) {
      if (t == 0) return;
      EXPECT_LT(test::relative_error(seen[k].at(t), std::vector(v.begin(), v.end())), 1e-6) << "tensor " << t;
    });
}

TEST(Gaps, ProbesSeeEveryPixelOfEveryChannel) {
  const Plan p = test::small_gaps_plan();
  for (int t : {1, 2, 3, 4}) {
    const Layout& l = p.tensors[static_cast<std::size_t>(t)].layout;
    const Probe probe{t, false, 2, 100};
    for (std::size_t pixel = 0; pixel < l.size(); ++pixel) {
      std::vector<double> values(l.size());
      values[pixel] = 7;
      EXPECT_EQ(probe_value(p, probe, values), 7) << "tensor " << t << ", value " << pixel;
    }
    const Watched w = watched(p, probe);
    EXPECT_LE(w.rows, p.tile.h);
    EXPECT_LE(w.columns, p.tile.w);
  }
  EXPECT_EQ(watch_of(p).reach, 1) << "rotations stay near an image's own tile";
}

// What changes in a plan, and a word of the message.
struct Break {
  const char* what;
  const char* word;
  void (*change)(Plan&);
};

const Break kBreaks[] = {
    {"three channels", "gap",
     [](Plan& p) {
       p.tensors[2].layout.fill = {1, 3};
     }},
    {"no channel", "gap",
     [](Plan& p) {
       p.tensors[2].layout.fill = {0, 2};
     }},
    {"negative", "gap",
     [](Plan& p) {
       p.tensors[2].layout.fill = {2, -2};
     }},
    {"more than the gap", "gap",
     [](Plan& p) {
       p.tensors[2].layout.fill = {4, 2};
     }},
    {"input", "gap",
     [](Plan& p) {
       p.tensors[0].layout.fill = {1, 2};
     }},
    {"scores", "gap",
     [](Plan& p) {
       p.tensors[5].layout.fill = {2, 1};
     }},
    {"scores of one pixel", "last layer",
     [](Plan& p) {
       p.steps.pop_back();
       p.tensors.pop_back();
       p.steps.back().keep = true;
       p.steps.back().kind = Kind::sum;
       p.steps.back().late = 0;
       p.tensors.back().level = p.steps.back().level;
       p.io.outputs = p.tensors.back().layout.channels;
     }},
    {"sums over whole maps", "by itself",
     [](Plan& p) {
       p.tensors[5].layout.gap = 2;
       p.tensors[5].layout.fill = {2, 1};
     }},
    {"fewer, without their keys", "incomplete",
     [](Plan& p) {
       p.tensors[4].layout.fill = {4, 2};
     }},
    {"phases beside them", "gap",
     [](Plan& p) {
       p.tensors[2].layout.phases = {2, 1};
       p.tensors[2].layout.gap = {3, 2};
     }},
    {"beyond the tile", "fit",
     [](Plan& p) {
       p.tensors[4].layout.gap = 6;
       p.tensors[4].layout.fill = {4, 2};
     }},
    {"in groups, too", "groups", [](Plan& p) { p.tensors[2].layout.group = 2; }},
};

TEST(Gaps, BrokenPlansAreRefused) {
  const Plan good = test::small_gaps_plan();
  EXPECT_NO_THROW(verify(good));
  for (const Break& b : kBreaks) {
    Plan p = good;
    b.change(p);
    EXPECT_TRUE(test::refuses([&] { verify(p); }, {b.word})) << b.what;
    EXPECT_NE(digest_of(p), digest_of(good)) << b.what;
  }
  for (std::size_t k = 0; k < good.keys.keys.size(); ++k) {
    Plan p = good;
    p.keys.keys.erase(p.keys.keys.begin() + static_cast<std::ptrdiff_t>(k));
    EXPECT_TRUE(test::refuses([&] { verify(p); }, {"incomplete"})) << k;
  }
}

TEST(Gaps, PlanFilesKeepThem) {
  const test::TempFolder folder;
  const Plan plan = test::small_gaps_plan();
  write_plan(folder / "plan", plan);
  const Plan back = read_plan(folder / "plan");
  for (std::size_t t = 0; t < plan.tensors.size(); ++t) EXPECT_EQ(back.tensors[t].layout, plan.tensors[t].layout);
  EXPECT_EQ(back.id, plan.id);
}

TEST(Gaps, FewerCiphertextsMeanTheSame) {
  const Plan filled = test::small_gaps_plan();
  Plan apart = filled;
  for (Tensor& t : apart.tensors) t.layout.fill = 1;
  apart.keys.keys = required_keys(apart, make_schedule(apart));
  EXPECT_NO_THROW(verify(apart));
  EXPECT_LT(filled.tensors[4].layout.ciphertexts(), apart.tensors[4].layout.ciphertexts());
  const auto image = test::random_values(128, 3, 1);
  EXPECT_EQ(circuit::interpret(view(filled), image), circuit::interpret(view(apart), image));
}

}  // namespace
}  // namespace sotto::plan
