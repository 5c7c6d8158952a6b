#include "program/program.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "program/builder.h"
#include "support/expect_error.h"

namespace sotto::program {
namespace {

using Kind = Instruction::Kind;

constexpr int kLogN = 10;
// What counts is their size.
const std::vector<std::uint64_t> kPrimes(12, (std::uint64_t{1} << 48) - 59);
const double kPrime = static_cast<double>(kPrimes[0]);
constexpr double kLeast = 0x1p31;

Builder builder(int floor = 1) { return {kPrimes, kLeast, floor}; }

TEST(Builder, ProductsAreDividedByAsManyPrimesAsLeaveTheLeastScale) {
  Builder b = builder();
  const int small = b.input(8, 0x1p30), large = b.input(9, 0x1p40), huge = b.input(8, 0x1p70);
  const auto limbs_and_scale = [&](int v) {
    return std::pair(b.value(v).limbs, std::log2(std::abs(b.value(v).scale)));
  };
  EXPECT_EQ(limbs_and_scale(b.multiply({{small, large}})).first, 8);  // 2^70: a prime would leave 2^22
  const int square = b.multiply({{large, large}});                    // 2^80
  EXPECT_EQ(b.value(square).limbs, 8);
  EXPECT_NEAR(std::log2(b.value(square).scale), 32, 1e-9);
  const int two = b.multiply({{huge, huge}});  // 2^140
  EXPECT_EQ(b.value(two).limbs, 6);
  EXPECT_NEAR(std::log2(b.value(two).scale), 44, 1e-9);
}

TEST(Builder, AFactorCostsNothing) {
  Builder b = builder();
  const int x = b.input(5, 0x1p40), y = b.affine(x, -0.25, 3);
  EXPECT_EQ(b.value(y).limbs, 5);
  EXPECT_EQ(b.value(y).scale, -0x1p42);
  const int product = b.multiply({{y, y}});
  EXPECT_GT(b.value(product).scale, 0);
}

TEST(Builder, SaysWhenItRunsOutOfLimbs) {
  Builder b = builder(4);
  const int x = b.input(5, 0x1p40), y = b.multiply({{x, x}});
  EXPECT_TRUE(b.fits());
  EXPECT_EQ(b.value(y).limbs, 4);
  (void)b.multiply({{y, x}, {y, x}});
  EXPECT_TRUE(b.fits());  // 2^72: nothing to divide by
  (void)b.multiply({{x, x}, {x, x}});
  const int z = b.input(4, 0x1p40);
  (void)b.multiply({{z, z}});
  EXPECT_FALSE(b.fits());
}

TEST(Builder, RefusesSumsOfDifferentScalesAndPlaintextsThatVanish) {
  Builder b = builder();
  const int x = b.input(6, 0x1p40), y = b.input(6, 0x1p41);
  EXPECT_THROW((void)b.multiply({{x, x}, {x, y}}), Error);
  const int mask = b.pattern({1, 0});
  EXPECT_THROW((void)b.mix({x}, {{{mask, -1}}}, 0x1p45), Error);
  EXPECT_NO_THROW((void)b.mix({x}, {{{b.pattern({1}), -1}}}, 0x1p41));  // an exact factor
  EXPECT_THROW((void)b.mix({x}, {{{b.pattern({0.3}), -1}}}, 0x1p41), Error);
}

TEST(Builder, RefusesJoinsOfDifferentScales) {
  Builder b = builder();
  const int x = b.input(6, 0x1p40), y = b.input(6, 0x1p41);
  EXPECT_THROW((void)b.join({x, y}, {0, 1}), Error);
}

// A run rounds them to integers.
TEST(Builder, MultiplesThatAreNoIntegersDoNotFit) {
  const auto fits = [](double factor, double scale) {
    Builder b = builder();
    const int x = b.input(6, 0x1p40);
    const Multiple multiples[] = {{x, 1}, {x, factor}};
    (void)b.multiply({}, multiples, scale);
    return b.fits();
  };
  EXPECT_TRUE(fits(-3, 0x1p40));
  EXPECT_TRUE(fits(1.0 / 3, 0x1p62));  // rounded by less than 2^-20
  EXPECT_FALSE(fits(1.0 / 3, 0x1p52));
  EXPECT_FALSE(fits(0.25, 0x1p40));  // nothing would be left
}

TEST(Builder, RotationsByNothingAreTheValueItself) {
  Builder b = builder();
  const int x = b.input(6, 0x1p40);
  const std::int64_t rotations[] = {0, 5, -1};
  const std::vector<int> out = b.rotate(x, rotations, 4);
  EXPECT_EQ(out[0], x);
  EXPECT_EQ(b.value(out[1]).limbs, 4);
  const Program p = b.take();
  ASSERT_EQ(p.instructions.size(), 1u);
  EXPECT_EQ(p.instructions[0].rotations, (std::vector<std::int64_t>{5, -1}));
  EXPECT_EQ(p.instructions[0].limbs, 4);
}

TEST(Builder, EqualPatternsAreKeptOnce) {
  Builder b = builder();
  EXPECT_EQ(b.pattern({1, 0}), b.pattern({1, 0}));
  EXPECT_NE(b.pattern({1, 0}), b.pattern({0, 1}));
  EXPECT_EQ(b.take().patterns.size(), 2u);
}

// x is read at 6 limbs, then at 3, then never.
Program chain() {
  Builder b = builder();
  const int x = b.input(9, 0x1p40);
  const std::int64_t one[] = {1};
  const int y = b.rotate(x, one, 6).front();
  const int z = b.rotate(x, one, 3).front();
  b.output(b.join({y, z}, {0, 2}));
  return b.take();
}

TEST(Program, LimbsAreKeptAsLongAsTheyAreRead) {
  Program p = chain();
  const auto after = needs_after(p);
  ASSERT_EQ(after.size(), 3u);
  EXPECT_EQ(after[0], (std::map<int, int>{{0, 3}, {1, 3}}));  // the join reads 3 limbs of y
  EXPECT_EQ(after[1], (std::map<int, int>{{0, 0}}));
  EXPECT_EQ(after[2], (std::map<int, int>{{1, 0}, {2, 0}}));
  trim_inputs(p);
  EXPECT_EQ(p.value(0).limbs, 6);
  const std::uint64_t limb = 2 * 6 << kLogN;
  EXPECT_EQ(peak_bytes(p, kLogN), 12 * limb);  // x and y with 6 each
}

TEST(Program, KeysOfItsRotationsAndProducts) {
  Builder b = builder();
  const int x = b.input(8, 0x1p40), y = b.multiply({{x, x}});
  b.output(b.rotate_sum(y, {1, 2, 3}));
  const Program p = b.take();
  const std::vector<ckks::KeyTier> tiers{{8, 3}, {4, 2}};
  const auto keys = required_keys(p, tiers, kLogN);
  ASSERT_EQ(keys.size(), 4u);
  EXPECT_EQ(keys[0], (ckks::KeyId{0, ckks::kRelinearise}));
  for (const ckks::KeyId& id : keys) EXPECT_EQ(id.tier, 0);  // 7 limbs need the large ones, too
  EXPECT_TRUE(test::refuses([&] { return required_keys(p, {{4, 2}}, kLogN); }, {"no evaluation key"}));
  const Counts counts = counts_of(p, kLogN);
  EXPECT_EQ(counts.bootstraps, 0);
  EXPECT_EQ(counts.products, 1);
  EXPECT_EQ(counts.key_switches, 4);  // three rotations and the product
}

TEST(Program, ItsHashTellsProgramsApart) {
  const Program p = chain();
  EXPECT_EQ(digest_of(p), digest_of(chain()));
  Program other = p;
  other.instructions[1].rotations[0] = 2;
  EXPECT_NE(digest_of(p), digest_of(other));
  other = p;
  other.values[1].scale *= 2;
  EXPECT_NE(digest_of(p), digest_of(other));
}

// Every change of a single member, and numbers that move from one list to the next.
TEST(Program, ItsHashCoversEveryMember) {
  Program p = chain();
  p.patterns = {{1, 0}, {0.5}};
  p.instructions.push_back({.kind = Kind::mix,
                            .limbs = 3,
                            .rescales = 1,
                            .sources = {0, 1},
                            .outputs = {2},
                            .rotations = {4},
                            .addends = {1},
                            .numbers = {0.5},
                            .factors = {{0, 0}, {1, -1}},
                            .constants = {-1}});
  p.coefficients = 1;
  p.bootstrapping = bootstrap::BootstrapSpec{.raised_limbs = 20, .input_peak = 0x1p44};
  std::set<std::string> hashes{digest_of(p)};
  const auto changed = [&](auto change) {
    Program other = p;
    change(other);
    EXPECT_TRUE(hashes.insert(digest_of(other)).second) << "change " << hashes.size();
  };
  changed([](Program& o) { o.values[0].limbs += 1; });
  changed([](Program& o) { o.values[0].scale *= 2; });
  changed([](Program& o) { o.values.push_back({1, 1}); });
  changed([](Program& o) { o.patterns[0][1] = 1; });
  changed([](Program& o) { o.patterns.push_back({}); });
  changed([](Program& o) { o.instructions.pop_back(); });
  changed([](Program& o) { o.instructions.back().kind = Kind::multiply; });
  changed([](Program& o) { o.instructions.back().limbs = 2; });
  changed([](Program& o) { o.instructions.back().rescales = 0; });
  changed([](Program& o) { o.instructions.back().sources = {1, 0}; });
  changed([](Program& o) { o.instructions.back().sources = {0}, o.instructions.back().outputs = {1, 2}; });
  changed([](Program& o) { o.instructions.back().outputs = {3}; });
  changed([](Program& o) { o.instructions.back().rotations = {5}; });
  changed([](Program& o) { o.instructions.back().addends = {0}; });
  changed([](Program& o) { o.instructions.back().numbers = {0.25}; });
  changed([](Program& o) { o.instructions.back().factors[0].coefficient = -1; });
  changed([](Program& o) { o.instructions.back().factors[0].pattern = 1; });
  changed([](Program& o) { o.instructions.back().constants = {1}; });
  changed([](Program& o) { o.inputs.push_back(1); });
  changed([](Program& o) { o.outputs.push_back(1); });
  changed([](Program& o) { o.coefficients = 2; });
  changed([](Program& o) { o.bootstrapping.reset(); });
  changed([](Program& o) { o.bootstrapping->slots_to_coeffs_factors = 2; });
  changed([](Program& o) { o.bootstrapping->coeffs_to_slots_factors = 2; });
  changed([](Program& o) { o.bootstrapping->degree = 63; });
  changed([](Program& o) { o.bootstrapping->doublings = 3; });
  changed([](Program& o) { o.bootstrapping->raised_limbs = 21; });
  changed([](Program& o) { o.bootstrapping->input_peak *= 2; });
}

TEST(Program, TheScaleBeforeRescaling) {
  Builder b = builder();
  const int x = b.input(8, 0x1p40);
  (void)b.multiply({{x, x}});
  const Program p = b.take();
  EXPECT_NEAR(scale_before(p, p.instructions[0], kPrimes) / 0x1p80, 1, 1e-12);
  EXPECT_NEAR(p.value(1).scale, 0x1p80 / kPrime, 1);
}

}  // namespace
}  // namespace sotto::program
