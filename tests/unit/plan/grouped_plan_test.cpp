// Plans with several channels per ciphertext: what `verify` refuses, what files and identities keep.
#include <gtest/gtest.h>

#include <cmath>
#include <tuple>

#include "circuit/interpret.h"
#include "plan/identity.h"
#include "plan/plan_file.h"
#include "plan/verify.h"
#include "support/expect_error.h"
#include "support/files.h"
#include "support/plan_builder.h"

namespace sotto::plan {
namespace {

// One change that breaks the plan, and a word of the message.
struct Break {
  const char* what;
  const char* word;
  void (*change)(Plan&);
};

void set_group(Plan& p, int group) {
  for (Tensor& t : p.tensors) t.layout.group = group;
}

// small_grouped_plan(): rank 2^8, tile 4, group 4, four images; ten limbs in levels of two.
const Break kBreaks[] = {
    {"no group", "channels per ciphertext", [](Plan& p) { set_group(p, 0); }},
    {"negative group", "channels per ciphertext", [](Plan& p) { set_group(p, -4); }},
    {"group of three", "channels per ciphertext", [](Plan& p) { set_group(p, 3); }},
    {"more channels than slots", "channels per ciphertext", [](Plan& p) { set_group(p, 512); }},
    {"more channels than tiles", "tile", [](Plan& p) { set_group(p, 32); }},
    {"another group than the batch's", "batch", [](Plan& p) { set_group(p, 2); }},
    {"another batch than the group's", "batch", [](Plan& p) { p.batch = 16; }},
    {"input of another group", "batch", [](Plan& p) { p.tensors[0].layout.group = 2; }},
    {"tensor of another group", "packed", [](Plan& p) { p.tensors[2].layout.group = 2; }},
    {"scores of another group", "packed", [](Plan& p) { p.tensors[4].layout.group = 1; }},
    {"one prime of two", "level", [](Plan& p) { p.steps[0].late = 1; }},
    {"three primes", "level", [](Plan& p) { p.steps[0].late = 3; }},
    {"a step that takes one prime", "level", [](Plan& p) { p.tensors[1].level.limbs += 1; }},
    {"a step that takes three primes", "level", [](Plan& p) { p.tensors[1].level.limbs -= 1; }},
    {"no rotations of sources", "rotations", [](Plan& p) { p.steps[0].baby = 0; }},
    {"negative rotations", "rotations", [](Plan& p) { p.steps[1].baby = -2; }},
    {"three rotations", "rotations", [](Plan& p) { p.steps[1].baby = 3; }},
    {"more rotations than places", "rotations", [](Plan& p) { p.steps[0].baby = 8; }},
    {"other rotations than its keys'", "incomplete", [](Plan& p) { p.steps[0].baby = 4; }},
    {"scale of one prime", "scale", [](Plan& p) { p.tensors[1].scale *= std::exp2(30); }},
};

TEST(VerifyGroups, TheWholePlanIsFine) { EXPECT_NO_THROW(verify(test::small_grouped_plan())); }

TEST(VerifyGroups, EveryBrokenField) {
  const Plan good = test::small_grouped_plan();
  for (const Break& b : kBreaks) {
    Plan p = good;
    b.change(p);
    EXPECT_TRUE(test::refuses([&] { verify(p); }, {b.word})) << b.what;
  }
}

TEST(VerifyGroups, EveryKeyIsNeeded) {
  const Plan good = test::small_grouped_plan();
  for (std::size_t k = 0; k < good.keys.keys.size(); ++k) {
    Plan p = good;
    p.keys.keys.erase(p.keys.keys.begin() + static_cast<std::ptrdiff_t>(k));
    EXPECT_TRUE(test::refuses([&] { verify(p); }, {"incomplete"})) << k;
  }
}

TEST(VerifyGroups, WholeTilesShareACiphertext) {
  // A single channel needs runs of 16 words per slot of its tile, groups do not.
  test::PlanBuilder b(6, 4, {3, 4, 4, 1, 1, 4}, 2, 2);
  b.step({b.full(0, 2)}, {2, 1, 1, 1, 4}, test::kinds::keep);
  Plan p = b.build();
  EXPECT_EQ(p.batch, 1);
  set_group(p, 1);
  p.batch = 4;
  EXPECT_TRUE(test::refuses([&] { verify(p); }, {"tile"}));
}

TEST(VerifyGroups, TheClientChecksItsPart) {
  const ClientSpec good = client_part(test::small_grouped_plan());
  EXPECT_NO_THROW(verify(good));
  for (int group : {-4, 0, 1, 2, 3, 8, 32, 512}) {
    ClientSpec s = good;
    s.input.layout.group = group;
    EXPECT_TRUE(test::refuses([&] { verify(s); })) << group;
  }
}

TEST(GroupedFiles, RoundTrip) {
  const test::TempFolder folder;
  const Plan plan = test::small_grouped_plan();
  write_plan(folder / "plan", plan);
  const Plan back = read_plan(folder / "plan");
  for (std::size_t s = 0; s < plan.steps.size(); ++s) EXPECT_EQ(back.steps[s].baby, plan.steps[s].baby);
  for (std::size_t t = 0; t < plan.tensors.size(); ++t) EXPECT_EQ(back.tensors[t].layout, plan.tensors[t].layout);
  EXPECT_EQ(back.keys.keys, plan.keys.keys);
  EXPECT_EQ(back.id, plan.id);
  const auto image = test::random_values(3 * 64, 3, 1);
  EXPECT_EQ(circuit::interpret(view(back), image), circuit::interpret(view(plan), image));
  write_client(folder / "client", client_part(plan));
  EXPECT_EQ(read_client(folder / "client").input.layout, plan.input().layout);
}

TEST(GroupedFiles, IdentitiesDependOnThePacking) {
  const Plan good = test::small_grouped_plan();
  for (const Break& b : kBreaks) {
    Plan p = good;
    b.change(p);
    EXPECT_NE(digest_of(p), digest_of(good)) << b.what;
  }
}

TEST(Levels, DivideByTheLastPrimes) {
  const std::vector<std::uint64_t> primes = {3, 5, 7, 11};
  const auto by = [&](int limbs, int early, int late) {
    Step step;
    step.early = early;
    step.late = late;
    const Divisors d(StepLevels(step, limbs, 0), primes);
    return std::pair(d.early, d.late);
  };
  EXPECT_EQ(by(4, 0, 1), std::pair(1.0, 11.0));
  EXPECT_EQ(by(1, 0, 1), std::pair(1.0, 3.0));
  EXPECT_EQ(by(4, 0, 2), std::pair(1.0, 77.0));
  EXPECT_EQ(by(4, 1, 0), std::pair(11.0, 1.0));
  EXPECT_EQ(by(4, 1, 1), std::pair(11.0, 7.0)) << "the early ones first";
  EXPECT_EQ(by(3, 2, 1), std::pair(35.0, 3.0));
}

// Small primes 3 and 5 of two units each, others of three: a division of four units takes a prime and makes room for
// a small one, one of two takes a small one or two primes for both small ones.
TEST(Levels, DivideBySmallPrimes) {
  const std::vector<std::uint64_t> primes = {3, 5, 7, 11, 13};
  const auto by = [&](const ckks::Level& level, int early, int late) {
    Step step;
    step.early = early;
    step.late = late;
    const StepLevels levels(step, level, 2);
    const Divisors d(levels, primes);
    return std::tuple(d.early, d.late, levels.result);
  };
  EXPECT_EQ(by({5, 0}, 0, 2), std::tuple(1.0, 3.0, ckks::Level(5, 1)));
  EXPECT_EQ(by({5, 1}, 0, 2), std::tuple(1.0, 5.0, ckks::Level(5, 2)));
  EXPECT_EQ(by({5, 2}, 0, 2), std::tuple(1.0, 143.0 / 15, ckks::Level(3, 0)));
  EXPECT_EQ(by({5, 2}, 0, 3), std::tuple(1.0, 13.0, ckks::Level(4, 2)));
  EXPECT_EQ(by({5, 0}, 2, 3), std::tuple(3.0, 13.0, ckks::Level(4, 1)));
  EXPECT_EQ(by({5, 1}, 3, 0), std::tuple(13.0, 1.0, ckks::Level(4, 1)));
  EXPECT_EQ(by({5, 0}, 4, 0), std::tuple(15.0, 1.0, ckks::Level(5, 2)));
}

TEST(Levels, ScalesFollowTheDivisions) {
  const std::vector<std::uint64_t> primes = {3, 5, 7, 11};
  Step step;
  step.kind = Kind::square;
  step.early = 1;
  step.late = 1;
  const StepLevels levels(step, 4, 0);
  const Divisors by(levels, primes);
  EXPECT_DOUBLE_EQ(result_scale(step, by, 22), 4.0 / 7);
  EXPECT_DOUBLE_EQ(sum_scale(step, by, 4.0 / 7), 22);
  EXPECT_EQ(levels.product, 3);
  EXPECT_EQ(levels.result, 2);
  EXPECT_EQ(units_taken(step), 2);
  step.kind = Kind::sum;
  step.early = 0;
  EXPECT_DOUBLE_EQ(result_scale(step, {StepLevels(step, 4, 0), primes}, 22), 2);
  EXPECT_DOUBLE_EQ(sum_scale(step, {StepLevels(step, 4, 0), primes}, 2), 22);
}

}  // namespace
}  // namespace sotto::plan
