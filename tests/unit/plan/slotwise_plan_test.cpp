// Plans with activations and bootstrapping: what `verify` refuses, what files and identities keep.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "plan/client_spec.h"
#include "plan/identity.h"
#include "plan/verify.h"
#include "support/expect_error.h"
#include "support/plan_builder.h"

namespace sotto::plan {
namespace {

using test::refuses;
constexpr double kInf = std::numeric_limits<double>::infinity(), kNan = std::numeric_limits<double>::quiet_NaN();

// One change that breaks the plan, and a word of the message.
struct Break {
  const char* what;
  const char* word;
  void (*change)(Plan&);
};

// slotwise_plan(): steps 0 sum, 1 activation, 2 precise square, 3 and 4 bootstraps, 5 sum, 6 gate, 7 scores; step s
// writes tensor s + 1; 18 limbs.
const Break kBreaks[] = {
    // Activations.
    {"range 0", "activation", [](Plan& p) { p.steps[1].activation.range = 0; }},
    {"negative range", "activation", [](Plan& p) { p.steps[1].activation.range *= -1; }},
    {"infinite range", "activation", [](Plan& p) { p.steps[1].activation.range = kInf; }},
    {"range that is no number", "activation", [](Plan& p) { p.steps[1].activation.range = kNan; }},
    {"another range", "scale", [](Plan& p) { p.steps[1].activation.range *= 2; }},
    {"no factors", "activation", [](Plan& p) { p.steps[1].activation.factors.clear(); }},
    {"nine factors", "activation",
     [](Plan& p) {
       p.steps[6].activation.factors.resize(9, {0, 1});
     }},
    {"a factor without coefficients", "activation", [](Plan& p) { p.steps[6].activation.factors[1].clear(); }},
    {"a constant factor", "activation", [](Plan& p) { p.steps[6].activation.factors[0] = {1}; }},
    {"257 coefficients", "activation", [](Plan& p) { p.steps[1].activation.factors[0].resize(257, 0.1); }},
    {"a huge coefficient", "activation", [](Plan& p) { p.steps[1].activation.factors[0][2] = -1024; }},
    {"an infinite coefficient", "activation", [](Plan& p) { p.steps[6].activation.factors[1][0] = kInf; }},
    {"a coefficient that is no number", "activation", [](Plan& p) { p.steps[1].activation.factors[0][6] = kNan; }},
    {"a lower degree", "level", [](Plan& p) { p.steps[1].activation.factors[0].resize(3); }},
    {"a higher degree", "level", [](Plan& p) { p.steps[1].activation.factors[0].resize(9, 0.1); }},
    {"a factor more", "level",
     [](Plan& p) {
       p.steps[6].activation.factors.push_back({0, 1});
     }},
    {"a gate more", "level", [](Plan& p) { p.steps[1].activation.gate = true; }},
    {"a gate less", "level", [](Plan& p) { p.steps[6].activation.gate = false; }},
    {"output of another level", "level", [](Plan& p) { p.tensors[2].level.limbs -= 1; }},
    {"a huge result", "scale", [](Plan& p) { p.tensors[7].scale = 0x1p59; }},
    // Bootstrapping.
    {"no circuit", "circuit", [](Plan& p) { p.bootstrapping.reset(); }},
    {"no entry matrices", "circuit", [](Plan& p) { p.bootstrapping->slots_to_coeffs_factors = 0; }},
    {"nine entry matrices", "circuit", [](Plan& p) { p.bootstrapping->slots_to_coeffs_factors = 9; }},
    {"another number of entry matrices", "level", [](Plan& p) { p.bootstrapping->slots_to_coeffs_factors = 3; }},
    {"no exit matrices", "circuit", [](Plan& p) { p.bootstrapping->coeffs_to_slots_factors = -1; }},
    {"eight exit matrices in a small ring", "circuit", [](Plan& p) { p.bootstrapping->coeffs_to_slots_factors = 8; }},
    {"an exit matrix more", "level", [](Plan& p) { p.bootstrapping->coeffs_to_slots_factors = 3; }},
    {"a series of degree 6", "circuit", [](Plan& p) { p.bootstrapping->degree = 6; }},
    {"a series of degree 128", "circuit", [](Plan& p) { p.bootstrapping->degree = 128; }},
    {"a longer series", "level", [](Plan& p) { p.bootstrapping->degree = 63; }},
    {"negative doublings", "circuit", [](Plan& p) { p.bootstrapping->doublings = -1; }},
    {"nine doublings", "circuit", [](Plan& p) { p.bootstrapping->doublings = 9; }},
    {"a doubling more", "level", [](Plan& p) { p.bootstrapping->doublings = 5; }},
    {"raised to more than the parameters'", "few primes", [](Plan& p) { p.bootstrapping->raised_limbs = 19; }},
    {"raised to too few", "circuit", [](Plan& p) { p.bootstrapping->raised_limbs = 11; }},
    {"raised to fewer", "level", [](Plan& p) { p.bootstrapping->raised_limbs = 17; }},
    {"no peak", "circuit", [](Plan& p) { p.bootstrapping->input_peak = 0; }},
    {"a huge peak", "circuit", [](Plan& p) { p.bootstrapping->input_peak = 0x1p60; }},
    {"a tiny peak", "bootstrapping", [](Plan& p) { p.bootstrapping->input_peak = 2; }},
    {"a peak that is no number", "circuit", [](Plan& p) { p.bootstrapping->input_peak = kNan; }},
    {"a level too high", "level", [](Plan& p) { p.steps[3].level.limbs = 4; }},
    {"a level too low", "level", [](Plan& p) { p.steps[4].level.limbs = 2; }},
    {"more limbs than are left", "level", [](Plan& p) { p.tensors[4].level.limbs = 8; }},
    {"no limbs", "level", [](Plan& p) { p.tensors[5].level.limbs = 0; }},
    {"an output of huge scale", "scale", [](Plan& p) { p.tensors[4].scale = 0x1p59; }},
    // Slotwise steps of both kinds.
    {"a scale that is not its source's", "scale", [](Plan& p) { p.steps[1].scale *= 2; }},
    {"another scale of the source", "scale", [](Plan& p) { p.steps[3].scale /= 2; }},
    {"an output of another layout", "copy", [](Plan& p) { p.tensors[2].layout.channels = 6; }},
    {"an output of other phases", "copy",
     [](Plan& p) {
       p.tensors[4].layout.phases = 4;
       p.tensors[4].layout.gap = 2;
     }},
    {"two terms", "copy", [](Plan& p) { p.steps[1].terms.push_back(p.steps[1].terms[0]); }},
    {"no terms", "terms", [](Plan& p) { p.steps[3].terms.clear(); }},
    {"a term that is no copy", "copy", [](Plan& p) { p.steps[3].terms[0].kind = Term::Kind::convolution; }},
    {"a copy with weights", "copy", [](Plan& p) { p.steps[1].terms[0].weights = {1}; }},
    {"a copy in a sum", "copy", [](Plan& p) { p.steps[2].terms[0].kind = Term::Kind::copy; }},
    {"a bias", "copy",
     [](Plan& p) {
       p.steps[3].bias = {1, 1, 1, 1, 1};
     }},
    {"a source that is not there yet", "not there", [](Plan& p) { p.steps[1].terms[0].source = 3; }},
    {"a source of a lower level", "lower level", [](Plan& p) { p.steps[1].level.limbs = 18; }},
    {"a sum as an activation", "copy",
     [](Plan& p) {
       p.steps[0].kind = Kind::activate;
       p.steps[0].late = 0;
     }},
    {"bootstrapping as an activation", "activation", [](Plan& p) { p.steps[3].kind = Kind::activate; }},
    {"an activation at the end", "last layer", [](Plan& p) { p.steps[7].kind = Kind::activate; }},
    // Primes of steps.
    {"one late prime of two", "level", [](Plan& p) { p.steps[2].late = 1; }},
    {"three late primes", "level", [](Plan& p) { p.steps[2].late = 3; }},
    {"a negative number of late primes", "level", [](Plan& p) { p.steps[2].late = -1; }},
    {"late primes without their levels", "level", [](Plan& p) { p.steps[0].late = 2; }},
    {"a late prime where nothing is divided", "level", [](Plan& p) { p.steps[1].late = 1; }},
    {"a late prime that the scores have no limb for", "level", [](Plan& p) { p.steps[7].late = 1; }},
    {"a prime before a sum that is not squared", "level",
     [](Plan& p) {
       p.steps[0].early = 1;
       p.steps[0].late = 0;
     }},
    {"three early primes", "level", [](Plan& p) { p.steps[2].early = 3; }},
    {"a negative number of early primes", "level", [](Plan& p) { p.steps[2].early = -1; }},
    {"a scale of late primes with early ones", "scale",
     [](Plan& p) {
       p.steps[2].early = 1;
       p.steps[2].late = 1;
     }},
    // Keys of the ephemeral secret.
    {"a key without its tier", "tier", [](Plan& p) { p.keys.tiers.pop_back(); }},
    {"no ephemeral tier", "ephemeral",
     [](Plan& p) {
       p.keys.tiers.pop_back();
       p.keys.keys.pop_back();
     }},
    {"its tier as a usual one", "wrong tier", [](Plan& p) { p.keys.tiers[2].ephemeral = false; }},
    {"a usual tier as an ephemeral one", "ephemeral", [](Plan& p) { p.keys.tiers[0].ephemeral = true; }},
    {"two limbs under the ephemeral secret", "ephemeral", [](Plan& p) { p.keys.tiers[2].max_limbs = 2; }},
    {"two such tiers", "ephemeral", [](Plan& p) { p.keys.tiers.push_back(p.keys.tiers[2]); }},
    {"two special primes under it", "ephemeral", [](Plan& p) { p.keys.tiers[2].special = 2; }},
    {"its key in another tier", "wrong tier", [](Plan& p) { p.keys.keys.back().tier = 1; }},
    {"another key in its tier", "wrong tier",
     [](Plan& p) { p.keys.keys.back().galois_element = ckks::kFromEphemeral; }},
    {"a rotation in its tier", "wrong tier", [](Plan& p) { p.keys.keys.back().galois_element = 5; }},
};

TEST(VerifySlotwise, TheWholePlanIsFine) {
  for (int group : {1, 4}) {
    const Plan p = test::slotwise_plan(group);
    EXPECT_NO_THROW(verify(p));
    EXPECT_NO_THROW(verify(client_part(p)));
  }
}

TEST(VerifySlotwise, EveryBrokenField) {
  const Plan good = test::slotwise_plan(1, 8);
  for (const Break& b : kBreaks) {
    Plan p = good;
    b.change(p);
    EXPECT_TRUE(refuses([&] { verify(p); }, {b.word})) << b.what;
  }
}

TEST(VerifySlotwise, ChannelsAreNotMoved) {
  Plan p = test::slotwise_plan(4);
  p.steps[1].baby = 2;
  EXPECT_TRUE(refuses([&] { verify(p); }, {"copy"}));
}

TEST(VerifySlotwise, ACircuitFitsThePrimesAndIsUsed) {
  Plan p = test::small_plan();
  const int primes = p.parameters.ciphertext_primes;
  EXPECT_NO_THROW(verify(p));
  p.bootstrapping = bootstrap::BootstrapSpec{
      .slots_to_coeffs_factors = 1, .coeffs_to_slots_factors = 1, .degree = 7, .doublings = 0, .input_peak = 4};
  p.bootstrapping->raised_limbs = p.bootstrapping->depth() + 1;
  p.parameters.ciphertext_primes = p.bootstrapping->raised_limbs;
  EXPECT_TRUE(refuses([&] { verify(p); }, {"without use"}));
  p.bootstrapping->slots_to_coeffs_factors = p.bootstrapping->raised_limbs;
  EXPECT_TRUE(refuses([&] { verify(p); }, {"too few primes"})) << primes;
}

TEST(VerifySlotwise, EveryKeyIsNeeded) {
  const Plan good = test::slotwise_plan();
  for (std::size_t k = 0; k < good.keys.keys.size(); ++k) {
    Plan p = good;
    p.keys.keys.erase(p.keys.keys.begin() + static_cast<std::ptrdiff_t>(k));
    EXPECT_TRUE(refuses([&] { verify(p); }, {"incomplete"})) << k;
  }
}

TEST(VerifySlotwise, TheClientChecksTheEphemeralKeys) {
  const ClientSpec good = client_part(test::slotwise_plan());
  const auto broken = [&](auto change) {
    ClientSpec s = good;
    change(s.keys);
    return refuses([&] { verify(s); });
  };
  EXPECT_TRUE(broken([](ckks::KeyRequest& k) { k.tiers[2].max_limbs = 2; }));
  EXPECT_TRUE(broken([](ckks::KeyRequest& k) { k.tiers[2].special = 2; }));
  EXPECT_TRUE(broken([](ckks::KeyRequest& k) { k.tiers[2].ephemeral = false; }));
  EXPECT_TRUE(broken([](ckks::KeyRequest& k) { k.tiers[1].ephemeral = true; }));
  EXPECT_TRUE(broken([](ckks::KeyRequest& k) { k.tiers.push_back(k.tiers[2]); }));
  EXPECT_TRUE(broken([](ckks::KeyRequest& k) { k.keys.back().galois_element = ckks::kRelinearise; }));
  EXPECT_TRUE(broken([](ckks::KeyRequest& k) { k.keys.back().galois_element = 3; }));
}

TEST(SlotwisePlanId, DependsOnEverything) {
  const Plan good = test::slotwise_plan();
  std::set<std::string> ids{digest_of(good)};
  const auto differs = [&](auto change) {
    Plan p = good;
    change(p);
    return ids.insert(digest_of(p)).second;
  };
  for (const Break& b : kBreaks) {
    Plan p = good;
    b.change(p);
    EXPECT_NE(digest_of(p), digest_of(good)) << b.what;
  }
  EXPECT_TRUE(differs([](Plan& p) { p.bootstrapping->slots_to_coeffs_factors += 1; }));
  EXPECT_TRUE(differs([](Plan& p) { p.bootstrapping->coeffs_to_slots_factors += 1; }));
  EXPECT_TRUE(differs([](Plan& p) { p.bootstrapping->degree += 1; }));
  EXPECT_TRUE(differs([](Plan& p) { p.bootstrapping->doublings += 1; }));
  EXPECT_TRUE(differs([](Plan& p) { p.bootstrapping->raised_limbs += 1; }));
  EXPECT_TRUE(differs([](Plan& p) { p.bootstrapping->input_peak += 1; }));
  EXPECT_TRUE(differs([](Plan& p) { p.steps[1].activation.range += 1; }));
  EXPECT_TRUE(differs([](Plan& p) { p.steps[1].activation.gate = true; }));
  for (std::size_t k = 0; k < 7; ++k)
    EXPECT_TRUE(differs([k](Plan& p) { p.steps[1].activation.factors[0][k] += 1; })) << k;
  EXPECT_TRUE(differs([](Plan& p) { std::swap(p.steps[6].activation.factors[0], p.steps[6].activation.factors[1]); }));
  EXPECT_TRUE(differs([](Plan& p) {  // the same coefficients, divided otherwise
    auto& factors = p.steps[6].activation.factors;
    factors[1].insert(factors[1].begin(), factors[0].back());
    factors[0].pop_back();
  }));
  EXPECT_TRUE(differs([](Plan& p) { p.steps[2].late = 1; }));
  EXPECT_TRUE(differs([](Plan& p) { p.steps[2].early = 1; }));
  EXPECT_TRUE(differs([](Plan& p) { p.keys.tiers[2].ephemeral = false; }));
}

}  // namespace
}  // namespace sotto::plan
