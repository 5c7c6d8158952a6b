// `verify` refuses a plan or client description with any field that does not fit the others.
#include "plan/verify.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "plan/client_spec.h"
#include "plan/identity.h"
#include "support/expect_error.h"
#include "support/plan_builder.h"

namespace sotto::plan {
namespace {

using test::refuses;
constexpr double kInf = std::numeric_limits<double>::infinity(), kNan = std::numeric_limits<double>::quiet_NaN();

// One change that breaks a plan, and a word of the message.
struct Break {
  const char* what;
  const char* word;
  void (*change)(Plan&);
};

// small_plan(): tensors 0 image 2x8x8, 1 2x8x8, 2 3x4x4, 3 3x4x4, 4 scores; steps write tensors 1 .. 4.
const Break kBreaks[] = {
    // Tensors and their layouts.
    {"no tensors", "empty", [](Plan& p) { p.tensors.clear(); }},
    {"no steps", "empty", [](Plan& p) { p.steps.clear(); }},
    {"no channels", "shape", [](Plan& p) { p.tensors[1].layout.channels = 0; }},
    {"too many channels", "shape", [](Plan& p) { p.tensors[1].layout.channels = 65537; }},
    {"no height", "shape", [](Plan& p) { p.tensors[2].layout.height = 0; }},
    {"negative width", "shape", [](Plan& p) { p.tensors[2].layout.width = -4; }},
    {"huge height", "shape", [](Plan& p) { p.tensors[2].layout.height = 1 << 30; }},
    {"no phases", "layout", [](Plan& p) { p.tensors[1].layout.phases = 0; }},
    {"three phases", "layout", [](Plan& p) { p.tensors[1].layout.phases = 3; }},
    {"128 phases", "layout", [](Plan& p) { p.tensors[1].layout.phases = 128; }},
    {"no gap", "layout", [](Plan& p) { p.tensors[2].layout.gap = 0; }},
    {"larger than its ciphertexts", "fit", [](Plan& p) { p.tensors[1].layout.phases = 1; }},
    {"spread over more than its ciphertexts", "fit", [](Plan& p) { p.tensors[2].layout.gap = 2; }},
    {"level 0", "level", [](Plan& p) { p.tensors[2].level.limbs = 0; }},
    {"level above the parameters'", "level", [](Plan& p) { p.tensors[0].level.limbs = 6; }},
    {"scale 0", "scale", [](Plan& p) { p.tensors[0].scale = 0; }},
    {"negative scale", "scale", [](Plan& p) { p.tensors[1].scale *= -1; }},
    {"infinite scale", "scale", [](Plan& p) { p.tensors[1].scale = kInf; }},
    {"scale that is no number", "scale", [](Plan& p) { p.tensors[1].scale = kNan; }},
    // The interface.
    {"tile that is no power of two", "tile", [](Plan& p) { p.tile = 3; }},
    {"no tile", "tile", [](Plan& p) { p.tile = 0; }},
    {"huge tile", "tile", [](Plan& p) { p.tile = 512; }},
    {"tile whose masks have short runs", "tile", [](Plan& p) { p.tile = 8; }},
    {"another batch", "batch", [](Plan& p) { p.batch += 1; }},
    {"no batch", "batch", [](Plan& p) { p.batch = 0; }},
    {"smaller tile", "batch", [](Plan& p) { p.tile = 2; }},
    {"larger ring", "batch", [](Plan& p) { ++p.parameters.log_n; }},
    {"complex ring", "ring", [](Plan& p) { p.parameters.kind = ring::RingKind::standard; }},
    {"other channels", "interface", [](Plan& p) { p.io.channels = 3; }},
    {"other height", "interface", [](Plan& p) { p.io.height = 7; }},
    {"other width", "interface", [](Plan& p) { p.io.width = 9; }},
    {"mean for other channels", "interface", [](Plan& p) { p.io.mean.pop_back(); }},
    {"deviation for other channels", "interface", [](Plan& p) { p.io.std.push_back(1); }},
    {"deviation 0", "deviation", [](Plan& p) { p.io.std[1] = 0; }},
    {"negative deviation", "deviation", [](Plan& p) { p.io.std[1] = -1; }},
    {"deviation that is no number", "deviation", [](Plan& p) { p.io.std[1] = kNan; }},
    {"no scores", "scores", [](Plan& p) { p.io.outputs = 0; }},
    {"other scores", "channels",
     [](Plan& p) {
       p.io.outputs = 2;
       p.io.classes.clear();
     }},
    {"class names for other scores", "class", [](Plan& p) { p.io.classes.pop_back(); }},
    // Steps.
    {"writes the input", "output", [](Plan& p) { p.steps[0].output = 0; }},
    {"writes nowhere", "output", [](Plan& p) { p.steps[0].output = 5; }},
    {"negative output", "output", [](Plan& p) { p.steps[0].output = -1; }},
    {"writes a tensor again", "output", [](Plan& p) { p.steps[2].output = 2; }},
    {"level 0", "level", [](Plan& p) { p.steps[0].level.limbs = 0; }},
    {"level above the parameters'", "level", [](Plan& p) { p.steps[0].level.limbs = 6; }},
    {"level below its output's", "level", [](Plan& p) { p.steps[0].level.limbs = 4; }},
    {"level above its source's", "lower level", [](Plan& p) { p.tensors[0].level.limbs = 4; }},
    {"output keeps its level", "level", [](Plan& p) { p.tensors[1].level.limbs = 5; }},
    {"last output loses a level", "level", [](Plan& p) { p.tensors[4].level.limbs -= 1; }},
    {"scale 0", "scale", [](Plan& p) { p.steps[1].scale = 0; }},
    {"infinite scale", "scale", [](Plan& p) { p.steps[1].scale = kInf; }},
    {"scale that is no number", "scale", [](Plan& p) { p.steps[1].scale = kNan; }},
    {"keeps its level early", "last", [](Plan& p) { p.steps[1].keep = true; }},
    {"last one squares", "last", [](Plan& p) { p.steps[3].kind = Kind::square; }},
    {"without terms", "terms", [](Plan& p) { p.steps[0].terms.clear(); }},
    {"257 terms", "terms", [](Plan& p) { p.steps[0].terms.resize(257, p.steps[0].terms[0]); }},
    {"bias for other channels", "bias", [](Plan& p) { p.steps[2].bias.pop_back(); }},
    {"bias for other pixels", "bias", [](Plan& p) { p.steps[0].bias.pop_back(); }},
    {"no bias", "bias", [](Plan& p) { p.steps[0].bias.clear(); }},
    {"infinite bias", "bias", [](Plan& p) { p.steps[0].bias[3] = kInf; }},
    {"bias that is no number", "bias", [](Plan& p) { p.steps[0].bias.back() = kNan; }},
    // Terms.
    {"negative source", "not there", [](Plan& p) { p.steps[1].terms[0].source = -1; }},
    {"no such source", "not there", [](Plan& p) { p.steps[1].terms[0].source = 5; }},
    {"reads its own output", "not there", [](Plan& p) { p.steps[1].terms[0].source = 2; }},
    {"reads a later tensor", "not there", [](Plan& p) { p.steps[0].terms[0].source = 3; }},
    {"no kernel", "convolution", [](Plan& p) { p.steps[0].terms[0].kernel_h = 0; }},
    {"huge kernel", "convolution", [](Plan& p) { p.steps[0].terms[0].kernel_w = 65; }},
    {"stride 0", "convolution", [](Plan& p) { p.steps[0].terms[0].stride_h = 0; }},
    {"negative stride", "convolution", [](Plan& p) { p.steps[0].terms[0].stride_w = -1; }},
    {"hugely negative pad", "convolution", [](Plan& p) { p.steps[0].terms[0].pad_top = -4097; }},
    {"huge pad", "convolution", [](Plan& p) { p.steps[0].terms[0].pad_left = 4097; }},
    {"another kernel", "weights", [](Plan& p) { p.steps[0].terms[0].kernel_h = 2; }},
    {"another source", "weights", [](Plan& p) { p.steps[2].terms[0].source = 1; }},
    {"too few weights", "weights", [](Plan& p) { p.steps[3].terms[0].weights.pop_back(); }},
    {"no weights", "weights", [](Plan& p) { p.steps[0].terms[0].weights.clear(); }},
    {"weight that is no number", "weight", [](Plan& p) { p.steps[0].terms[0].weights[7] = kNan; }},
    {"infinite weight", "weight", [](Plan& p) { p.steps[3].terms[0].weights[7] = -kInf; }},
    {"full connection to a map", "full", [](Plan& p) { p.steps[0].terms[0].kind = Term::Kind::full; }},
    {"huge stride", "convolution", [](Plan& p) { p.steps[1].terms[0].stride_h = 4097; }},
    {"another stride", "key list", [](Plan& p) { p.steps[1].terms[0].stride_w = 1; }},
    {"dilation 0", "convolution", [](Plan& p) { p.steps[0].terms[0].dilation_h = 0; }},
    {"huge dilation", "convolution", [](Plan& p) { p.steps[0].terms[0].dilation_w = 4097; }},
    {"block of outputs that are not there", "channels",
     [](Plan& p) {
       p.steps[0].terms[0].blocks = {{1, 2, 0, 2}};
     }},
    {"block of inputs that are not there", "channels",
     [](Plan& p) {
       p.steps[0].terms[0].blocks = {{0, 2, 2, 1}};
     }},
    {"block of negative channels", "channels",
     [](Plan& p) {
       p.steps[0].terms[0].blocks = {{-1, 2, 0, 2}};
     }},
    {"block without outputs", "channels",
     [](Plan& p) {
       p.steps[0].terms[0].blocks = {{0, 0, 0, 2}};
     }},
    {"block of endless inputs", "channels",
     [](Plan& p) {
       p.steps[0].terms[0].blocks = {{0, 1, 1, 2147483647}};
     }},
    {"channels in two blocks", "twice",
     [](Plan& p) {
       p.steps[0].terms[0].blocks = {{0, 2, 0, 1}, {1, 1, 0, 2}};
     }},
    {"fewer blocks", "weights",
     [](Plan& p) {
       p.steps[0].terms[0].blocks = {{0, 2, 0, 1}};
     }},
    {"map of another size", "map",
     [](Plan& p) {
       p.steps[0].terms[0].map = {1, 2};
     }},
    {"map of a full connection", "map", [](Plan& p) { p.steps[3].terms[0].map = {1}; }},
    {"map that is no number", "weight", [](Plan& p) { p.steps[0].terms[0].map.assign(64, kNan); }},
    // Keys.
    {"no tiers", "key", [](Plan& p) { p.keys.tiers.clear(); }},
    {"tier of level 0", "tier", [](Plan& p) { p.keys.tiers[1].max_limbs = 0; }},
    {"tier above the parameters'", "tier", [](Plan& p) { p.keys.tiers[0].max_limbs = 6; }},
    {"tier without special primes", "tier", [](Plan& p) { p.keys.tiers[1].special = 0; }},
    {"tier with too many special primes", "tier", [](Plan& p) { p.keys.tiers[0].special = 4; }},
    {"key of no tier", "key", [](Plan& p) { p.keys.keys.back().tier = 2; }},
    {"key of a negative tier", "key", [](Plan& p) { p.keys.keys.front().tier = -1; }},
    {"Galois element that is no rotation", "Galois element", [](Plan& p) { p.keys.keys.back().galois_element += 2; }},
    {"Galois element beyond the ring", "Galois element",
     [](Plan& p) { p.keys.keys.back().galois_element += std::uint64_t{4} << p.parameters.log_n; }},
    {"keys out of order", "sorted", [](Plan& p) { std::swap(p.keys.keys[0], p.keys.keys[1]); }},
    {"a key twice", "sorted", [](Plan& p) { p.keys.keys.push_back(p.keys.keys.back()); }},
    {"no tier for the upper levels", "tier", [](Plan& p) { p.keys.tiers[0].max_limbs = 4; }},
};

TEST(VerifyPlan, TheWholePlanIsFine) { EXPECT_NO_THROW(verify(test::small_plan())); }

TEST(VerifyPlan, EveryBrokenField) {
  const Plan good = test::small_plan();
  for (const Break& b : kBreaks) {
    Plan p = good;
    b.change(p);
    EXPECT_TRUE(refuses([&] { verify(p); }, {b.word})) << b.what;
  }
}

TEST(VerifyPlan, AMapIsNoVectorOfScores) {
  Plan p = test::small_plan();
  EXPECT_NO_THROW(require_scores(p));
  p.tensors.back().layout.width = 2;
  EXPECT_TRUE(refuses([&] { require_scores(p); }, {"not a vector of scores"}));
}

TEST(VerifyPlan, EveryKeyIsNeeded) {
  const Plan good = test::small_plan();
  ASSERT_GT(good.keys.keys.size(), 8u);
  for (std::size_t k = 0; k < good.keys.keys.size(); ++k) {
    Plan p = good;
    p.keys.keys.erase(p.keys.keys.begin() + static_cast<std::ptrdiff_t>(k));
    EXPECT_TRUE(refuses([&] { verify(p); }, {"incomplete"})) << k;
  }
}

TEST(VerifyPlan, KeysThatNobodyNeedsAreAllowed) {
  Plan p = test::small_plan();
  p.keys.tiers.push_back({1, 1});
  p.keys.keys.push_back({2, 5});
  EXPECT_NO_THROW(verify(p));
}

TEST(VerifyPlan, ScalesThatDoNotFollowFromEachOther) {
  // A square at scale s has the scale s^2 / q, a rescaled sum s / q, a kept one s: anything else makes every score
  // wrong.
  const Plan good = test::small_plan();
  for (std::size_t t = 1; t < good.tensors.size(); ++t) {
    Plan p = good;
    p.tensors[t].scale *= 2;
    EXPECT_TRUE(refuses([&] { verify(p); }, {"scale"})) << t;
  }
}

TEST(PlanId, DependsOnEverythingButNames) {
  const Plan good = test::small_plan();
  const auto id_after = [&](auto change) {
    Plan p = good;
    change(p);
    return plan_id(p);
  };
  EXPECT_EQ(plan_id(good), good.id);
  EXPECT_EQ(good.id.size(), 32u);
  EXPECT_EQ(id_after([](Plan& p) {
              p.network = "other";
              p.steps[0].name = "other";
            }),
            good.id);
  std::set<std::string> ids{digest_of(good)};
  int changes = 0;
  for (const Break& b : kBreaks) {
    Plan p = good;
    b.change(p);
    if (p.tensors.empty() || p.io.outputs != good.io.outputs || p.io.channels != good.io.channels ||
        p.io.height != good.io.height || p.io.width != good.io.width)
      continue;  // these follow from the layouts
    EXPECT_NE(digest_of(p), digest_of(good)) << b.what;
    ids.insert(digest_of(p));
    ++changes;
  }
  EXPECT_GT(ids.size(), static_cast<std::size_t>(changes) * 9 / 10) << "different changes give different identities";
}

TEST(VerifyClient, EveryBrokenField) {
  const ClientSpec good = client_part(test::small_plan());
  EXPECT_NO_THROW(verify(good));
  const auto broken = [&](auto change) {
    ClientSpec s = good;
    change(s);
    return refuses([&] { verify(s); });
  };
  EXPECT_TRUE(broken([](ClientSpec& s) { s.tile = 5; }));
  EXPECT_TRUE(broken([](ClientSpec& s) { s.batch *= 2; }));
  EXPECT_TRUE(broken([](ClientSpec& s) { s.input.level.limbs = 0; }));
  EXPECT_TRUE(broken([](ClientSpec& s) { s.input.level.limbs = 6; }));
  EXPECT_TRUE(broken([](ClientSpec& s) { s.input.scale = 0x1p-400; }));
  EXPECT_TRUE(broken([](ClientSpec& s) { s.input.scale = kNan; }));
  EXPECT_TRUE(broken([](ClientSpec& s) { s.input.scale = 0x1p400; }));
  EXPECT_TRUE(broken([](ClientSpec& s) { s.input.layout.gap = 2; }));
  EXPECT_TRUE(broken([](ClientSpec& s) { s.input.layout.phases = 1; }));
  EXPECT_TRUE(broken([](ClientSpec& s) { s.input.layout.channels = 1; }));
  EXPECT_TRUE(broken([](ClientSpec& s) { s.output_level = 0; }));
  EXPECT_TRUE(broken([](ClientSpec& s) { s.output_level = 6; }));
  EXPECT_TRUE(broken([](ClientSpec& s) { s.output_scale = 0; }));
  EXPECT_TRUE(broken([](ClientSpec& s) { s.output_scale = kInf; }));
  EXPECT_TRUE(broken([](ClientSpec& s) { s.io.std[0] = 0; }));
  EXPECT_TRUE(broken([](ClientSpec& s) { s.io.outputs = 4; }));
  EXPECT_TRUE(broken([](ClientSpec& s) { s.parameters.kind = ring::RingKind::standard; }));
  EXPECT_TRUE(broken([](ClientSpec& s) { s.keys.tiers.clear(); }));
  EXPECT_TRUE(broken([](ClientSpec& s) { s.keys.keys[0].tier = 7; }));
  EXPECT_TRUE(broken([](ClientSpec& s) { s.keys.keys[1].galois_element = 3; }));
  EXPECT_TRUE(broken([](ClientSpec& s) { std::swap(s.keys.keys[0], s.keys.keys[1]); }));
}

}  // namespace
}  // namespace sotto::plan
