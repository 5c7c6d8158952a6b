// Where bootstraps are placed: what every placement must fulfil, and which networks need none.
#include "compiler/place.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "circuit/interpret.h"
#include "compiler/compile.h"
#include "compiler/lower.h"
#include "compiler/pack.h"
#include "support/expect_error.h"
#include "support/network_builder.h"
#include "support/values.h"

namespace sotto::compiler {
namespace {

using plan::Kind;
using plan::Plan;
using plan::Step;
using test::NetworkBuilder;

// Values stay finite however deep the network is.
Plan packed_tamed(NetworkBuilder& b) {
  for (graph::Node& n : b.network.nodes)
    if (auto* conv = std::get_if<graph::Conv2d>(&n.op))
      for (double& w : conv->weights) w *= 0.2;
  return pack(lower(b.network), {4, 1});
}

// Squares of small layers, one after the other.
Plan chain(int depth) {
  NetworkBuilder b({2, 4, 4}, 1);
  int x = 0;
  for (int d = 0; d < depth; ++d) x = b.square(b.conv(x, 2, 1, 1, 0));
  b.dense(b.mean(x), 2);
  return packed_tamed(b);
}

// Blocks of two squares with a shortcut: within a block two tensors are alive.
Plan residual(int blocks) {
  NetworkBuilder b({2, 4, 4}, 2);
  int x = b.square(b.conv(0, 2, 1, 1, 0));
  for (int k = 0; k < blocks; ++k) x = b.square(b.sum(b.conv(b.square(b.conv(x, 2, 1, 1, 0)), 2, 1, 1, 0), x));
  b.dense(b.mean(x), 2);
  return packed_tamed(b);
}

graph::Network relu_network(int count) {
  NetworkBuilder b({2, 4, 4}, 3);
  int x = 0;
  for (int k = 0; k < count; ++k) x = b.relu(b.conv(x, 2, 1, 1, 0), 8);
  b.dense(b.mean(x), 2);
  return b.network;
}

Plan relus(int count, double error) { return pack(lower(relu_network(count), error), {4, 1}); }

// Residual blocks of Relus, then squares.
Plan mixed(int blocks) {
  NetworkBuilder b({2, 4, 4}, 4);
  int x = b.relu(b.conv(0, 2, 1, 1, 0), 8);
  for (int k = 0; k < blocks; ++k) x = b.relu(b.sum(b.conv(b.relu(b.conv(x, 2, 1, 1, 0), 8), 2, 1, 1, 0), x), 16);
  for (int k = 0; k < 2; ++k) x = b.square(b.conv(x, 2, 1, 1, 0));
  b.dense(b.mean(x), 2);
  return pack(lower(b.network), {4, 1});
}

// Products of two convolutions each.
Plan products(int depth) {
  NetworkBuilder b({2, 4, 4}, 1);
  int x = 0;
  for (int d = 0; d < depth; ++d) x = b.product(b.conv(x, 2, 1, 1, 0), b.conv(x, 2, 1, 1, 0));
  b.dense(b.mean(x), 2);
  return packed_tamed(b);
}

// The plan with its bootstraps, after checking levels and that no step reads across a cut.
Plan expect_placed(const Plan& lowered, const Placement& placement) {
  const bootstrap::BootstrapSpec& circuit = placement.bootstrapping;
  EXPECT_TRUE(std::is_sorted(placement.cuts.begin(), placement.cuts.end()));
  EXPECT_EQ(circuit.raised_limbs, placement.limbs);
  EXPECT_LE((placement.limbs + placement.special) * 48, 1747) << "128 bits at rank 2^16";
  EXPECT_LE((ckks::KeyTier{placement.limbs, placement.special}.digits()), 8);
  Plan p = insert_bootstraps(lowered, placement);
  EXPECT_EQ(p.bootstrapping.has_value(), !placement.cuts.empty());
  EXPECT_LE(p.tensors[0].level.limbs, placement.limbs);
  std::map<int, int> segment_of{{0, 0}}, readers;
  int segment = 0, precise = 0;
  bool bootstrapping = false;
  for (const Step& s : p.steps) {
    const plan::Tensor& out = p.tensors[static_cast<std::size_t>(s.output)];
    const bool is_bootstrap = s.kind == Kind::bootstrap;
    if (bootstrapping && !is_bootstrap) ++segment;
    bootstrapping = is_bootstrap;
    EXPECT_GE(out.level.limbs, 1) << s.name;
    for (const plan::Term& t : s.terms) {
      EXPECT_GE(p.tensors[static_cast<std::size_t>(t.source)].level.limbs, s.level.limbs) << s.name;
      EXPECT_EQ(segment_of.at(t.source), segment) << s.name << " reads what a cut lies behind";
      ++readers[t.source];
    }
    if (is_bootstrap) {
      EXPECT_EQ(s.level, circuit.input_limbs());
      EXPECT_LE(out.level.limbs, circuit.output_limbs());
      EXPECT_EQ(out.layout, p.tensors[static_cast<std::size_t>(s.terms[0].source)].layout);
    } else {
      EXPECT_EQ(out.level, s.level.limbs - plan::units_taken(s)) << s.name;
    }
    segment_of[s.output] = is_bootstrap ? segment + 1 : segment;
    precise += s.late;
  }
  EXPECT_EQ(segment, static_cast<int>(placement.cuts.size()));
  for (const Step& s : lowered.steps) precise -= s.late;
  EXPECT_EQ(precise, static_cast<int>(placement.precise.size()));
  for (int t = 0; t < static_cast<int>(p.tensors.size()); ++t)
    EXPECT_TRUE(t == p.steps.back().output || readers[t] > 0) << p.tensors[static_cast<std::size_t>(t)].name;
  const auto image = test::random_values(32, 5, 1);
  EXPECT_EQ(circuit::interpret(plan::view(p), image), circuit::interpret(plan::view(lowered), image));
  return p;
}

TEST(Place, DeepChainsOfSquares) {
  for (int depth : {31, 40, 100}) {
    SCOPED_TRACE(depth);
    const Plan lowered = chain(depth);
    const Placement placement = *place(lowered);
    EXPECT_FALSE(placement.cuts.empty());
    const Plan p = expect_placed(lowered, placement);
    EXPECT_EQ(plan::bootstraps(p), 2 * static_cast<int>(placement.cuts.size())) << "two channels each";
  }
}

TEST(Place, NoCutIfTheNetworkFits) {
  for (const Plan& lowered : {chain(1), chain(30), residual(14), relus(1, 0x1p-20), relus(2, 0x1p-12)}) {
    const Placement placement = *place(lowered);
    EXPECT_TRUE(placement.cuts.empty()) << lowered.steps.size() << " steps";
    const Plan p = expect_placed(lowered, placement);
    EXPECT_EQ(p.steps.size(), lowered.steps.size());
  }
}

TEST(Place, CutsLieBetweenResidualBlocks) {
  const Plan lowered = residual(25);
  const Placement placement = *place(lowered);
  const Plan p = expect_placed(lowered, placement);
  ASSERT_FALSE(placement.cuts.empty());
  EXPECT_EQ(plan::bootstraps(p), 2 * static_cast<int>(placement.cuts.size())) << "one tensor of two channels each";
}

TEST(Place, EveryTensorThatIsAliveIsBootstrapped) {
  // Wherever somebody cuts, also within blocks.
  const Plan lowered = residual(3);
  Placement placement = *place(lowered);
  placement.bootstrapping = {.raised_limbs = 29};
  placement.limbs = 29;
  placement.special = 7;
  placement.precise.clear();
  for (int cut = 0; cut + 1 < static_cast<int>(lowered.steps.size()); ++cut) {
    SCOPED_TRACE(cut);
    placement.cuts = {cut};
    const Plan p = expect_placed(lowered, placement);
    EXPECT_EQ(plan::bootstraps(p), cut % 2 == 0 ? 2 : 4) << "the shortcut, too";
  }
  placement.cuts = {1, 2, 4};
  expect_placed(lowered, placement);
}

TEST(Place, PlansWithActivations) {
  for (const auto& [lowered, cut] : {std::pair(relus(6, 0.0051), true), std::pair(relus(5, 0x1p-13), true),
                                     std::pair(mixed(1), false), std::pair(mixed(4), true)}) {
    const Placement placement = *place(lowered);
    EXPECT_EQ(!placement.cuts.empty(), cut);
    expect_placed(lowered, placement);
  }
}

TEST(Place, ActivationsThatAreTooDeep) {
  // 22 levels: nothing that bootstrapping leaves suffices.
  EXPECT_FALSE(place(relus(2, 0x1p-20)));
  EXPECT_TRUE(test::fails_with([&] { return compile(relu_network(2), {.batch = 1}, 0x1p-20); }, ErrorCode::no_resources,
                               {"larger error"}));
}

TEST(Place, PrimesOfStepsStay) {
  for (Plan lowered : {chain(5), chain(40), residual(20), mixed(3)}) {
    for (Step& s : lowered.steps) s.late = s.slotwise() ? 0 : 2;
    const Placement placement = *place(lowered);
    EXPECT_TRUE(placement.precise.empty());
    expect_placed(lowered, placement);
  }
}

// Squares of sums that were divided before have twice the bits of others: where they are bootstrapped, as two tensors
// at once within blocks, they are divided once more.
TEST(Place, BootstrappedSquaresAreDivided) {
  for (Plan lowered : {chain(40), residual(25), residual(3)}) {
    for (Step& s : lowered.steps)
      if (s.kind == Kind::square) {
        s.early = 1;
        s.late = 0;
      }
    Placement placement = *place(lowered);
    const Plan p = expect_placed(lowered, placement);
    EXPECT_EQ(static_cast<int>(placement.precise.size()) * 2, plan::bootstraps(p)) << "of two channels each";
    for (const Step& s : p.steps) {
      if (s.kind != Kind::bootstrap) continue;
      const auto made = std::ranges::find(p.steps, s.terms.front().source, &Step::output);
      EXPECT_EQ(made->early, 1);
      EXPECT_EQ(made->late, 1);
    }
  }
}

TEST(Place, SpareLevelsMakeProductsPrecise) {
  const Plan lowered = products(33);
  const Placement placement = *place(lowered);
  EXPECT_FALSE(placement.precise.empty());
  EXPECT_LT(placement.precise.size(), 33u) << "not at any price";
  EXPECT_TRUE(place(relus(2, 0.0051))->precise.empty()) << "of products alone";
}

}  // namespace
}  // namespace sotto::compiler
