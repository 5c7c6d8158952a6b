#pragma once

#include <algorithm>
#include <bit>
#include <cmath>

#include "compiler/lower.h"
#include "compiler/pack.h"
#include "plan/identity.h"
#include "plan/schedule.h"
#include "plan/verify.h"
#include "ring/primes.h"
#include "support/depths.h"

namespace sotto::test {

/// A network as a plan over the smallest toy ring for so many images: levels and scales as the compiler sets them.
inline plan::Plan toy_plan(const graph::Network& network, const packing::Axes& tile, int group, int images,
                           bool fill = false) {
  const circuit::Circuit circuit = compiler::lower(network);
  plan::Plan p = compiler::pack(circuit, {tile, group, fill});
  p.network = network.name;
  p.io = compiler::interface_of(network);
  const int primes_of_step = group == 1 ? 1 : 2;  // with groups, weights repeat over longer periods
  const std::vector<int> steps = depths(circuit);
  const int limbs = (*std::ranges::max_element(steps) + 1) * primes_of_step;
  const int slots = std::max(tile.area() * group * images, group == 1 ? 16 * std::max(tile.area(), 64) : 64);
  p.parameters = {.log_n = static_cast<int>(std::bit_width(static_cast<unsigned>(slots))) - 1,
                  .kind = ring::RingKind::conjugate_invariant,
                  .ciphertext_primes = limbs,
                  .special_primes = std::max(3, (limbs + 7) / 8 + 1),
                  .prime_bits = 48};
  p.batch = (1 << p.parameters.log_n) / (tile.area() * group);
  const auto primes = ckks::primes_of(p.parameters);
  const double scale = 0x1p22;
  p.tensors[0].level.limbs = limbs;
  for (plan::Tensor& t : p.tensors) t.scale = scale;
  for (std::size_t k = 0; k < steps.size(); ++k) {
    plan::Step& s = p.steps[k];
    s.level = limbs - steps[k] * primes_of_step;
    if (!s.keep && plan::divides(p, s)) s.late = primes_of_step;
    p.tensors[static_cast<std::size_t>(s.output)].level.limbs = s.level.limbs - plan::units_taken(s);
    s.scale = plan::sum_scale(s, {plan::levels_of(p, s), primes}, scale);
    if (s.keep) p.tensors[static_cast<std::size_t>(s.output)].scale = s.scale = 0x1p36;
    if (!s.slotwise()) s.baby = std::min(group, 2);
  }
  for (plan::Step& s : p.steps) {
    if (s.kind != plan::Kind::multiply) continue;
    s.scale = std::sqrt(scale * plan::Divisors(plan::levels_of(p, s), primes).late);
    for (const plan::Term& t : s.terms) {
      p.tensors[static_cast<std::size_t>(t.source)].scale = s.scale;
      std::ranges::find(p.steps, t.source, &plan::Step::output)->scale = s.scale;
    }
  }
  p.keys.tiers = {{limbs, p.parameters.special_primes}};
  p.keys.keys = plan::required_keys(p, plan::make_schedule(p));
  p.id = plan::plan_id(p);
  plan::verify(p);
  return p;
}

}  // namespace sotto::test
