// The search for divisions: what it ends with is exact enough, and no other division of a single step is faster.
#include "compiler/division_search.h"

#include <gtest/gtest.h>

#include <cmath>

#include "compiler/compile.h"
#include "compiler/key_tiers.h"
#include "compiler/pack.h"
#include "graph/network.h"
#include "support/network_builder.h"

namespace sotto::compiler {
namespace {

using test::NetworkBuilder;

constexpr int kWhole = kSmallPrimes + 1;
const WantedVariance kAny{HUGE_VAL, HUGE_VAL};

class DivisionSearches : public ::testing::Test {
 protected:
  DivisionSearches() {
    NetworkBuilder b({3, 8, 8}, 1);
    int x = b.square(b.conv(0, 4, 3, 1, 1));
    for (int k = 0; k < 3; ++k) x = b.square(b.sum(b.conv(b.square(b.conv(x, 4, 3, 1, 1)), 4, 3, 1, 1), x));
    b.dense(b.mean(x), 5);
    measured = measured_circuit(b.network, made_up_calibration(interface_of(b.network)));
    packed = pack(measured.circuit, {8, 1});
    packed.parameters.log_n = kLogN;
    packed.parameters.small_primes = kSmallPrimes;
    packed.tensors[static_cast<std::size_t>(packed.steps.back().output)].level = packed.parameters.whole(1);
    for (const plan::Step& s : packed.steps)
      first.push_back(s.kind == plan::Kind::square ? Division{kWhole, 0} : Division{0, kWhole});
    for (std::size_t s = 0; s < first.size(); ++s) {
      packed.steps[s].early = first[s].early;
      packed.steps[s].late = first[s].late;
    }
    EXPECT_TRUE(assign_levels(packed));
    for (std::size_t t = 0; t < packed.tensors.size(); ++t) packed.tensors[t].moments = measured.statistics.moments[t];
  }

  // Exactly these divisions.
  DivisionSearch::Choice choice(const std::vector<Division>& divisions) {
    return DivisionSearch(packed, measured.statistics, kAny).from(divisions).value();
  }

  MeasuredCircuit measured;
  plan::Plan packed;
  std::vector<Division> first;
};

TEST_F(DivisionSearches, EndWhereNoOtherDivisionOfAStepIsFaster) {
  const DivisionSearch::Choice start = choice(first);
  for (double times : {100.0, 0.01}) {  // what the first divisions err
    const WantedVariance wanted{times * start.variance(), times * start.variance()};
    const auto found = DivisionSearch(packed, measured.statistics, wanted).from(first);
    ASSERT_TRUE(found);
    EXPECT_LE(found->variance(), wanted.at_most);
    if (times > 1) {
      EXPECT_LT(found->seconds, 0.97 * start.seconds);
    }
    DivisionSearch others(packed, measured.statistics, kAny);
    int tried = 0;
    for (std::size_t s = 0; s < first.size(); ++s)
      for (int size : {0, kSmallPrimes, kWhole, 2 * kSmallPrimes}) {
        std::vector<Division> divisions = found->divisions;
        int& part = packed.steps[s].kind == plan::Kind::square ? divisions[s].early : divisions[s].late;
        if (part == size || (size == 0 && divisions[s].late == 0)) continue;
        part = size;
        const auto other = others.from(divisions);
        if (!other || other->variance() > 0.95 * wanted.at_most) continue;
        ++tried;
        EXPECT_GE(other->seconds, 0.995 * found->seconds) << "step " << s << " divides by " << size << ", " << times;
      }
    EXPECT_GT(tried, 0);
  }
}

TEST_F(DivisionSearches, AreTheSameEveryTime) {
  const double most = 30 * choice(first).variance();
  const WantedVariance wanted{most, most};
  const auto a = DivisionSearch(packed, measured.statistics, wanted).from(first),
             b = DivisionSearch(packed, measured.statistics, wanted).from(first);
  ASSERT_TRUE(a && b);
  EXPECT_EQ(a->divisions, b->divisions);
  EXPECT_EQ(a->scales.log2, b->scales.log2);
}

TEST_F(DivisionSearches, EndFarBehindARival) {
  const double most = 30 * choice(first).variance();
  const WantedVariance wanted{most, most};
  DivisionSearch::Choice rival = choice(first);
  rival.seconds /= 2;
  EXPECT_EQ(DivisionSearch(packed, measured.statistics, wanted).from(first, &rival)->divisions, first);
  rival.scales.variance.assign(first.size(), most);  // which is not exact enough
  EXPECT_NE(DivisionSearch(packed, measured.statistics, wanted).from(first, &rival)->divisions, first);
}

TEST_F(DivisionSearches, FindNothingWithoutRoom) {
  for (Division& d : first) d.late = 60 * kWhole;
  EXPECT_FALSE(DivisionSearch(packed, measured.statistics, kAny).from(first));
}

}  // namespace
}  // namespace sotto::compiler
