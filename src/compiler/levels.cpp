#include "compiler/levels.h"

#include <cmath>
#include <optional>
#include <utility>

#include "compiler/division_search.h"
#include "compiler/key_tiers.h"

namespace sotto::compiler {

namespace {

// As low levels as what follows needs, for every tensor and step. False if whole primes would have to join a modulus.
bool assign(plan::Plan& plan) {
  const int small = plan.parameters.small_primes;
  std::vector<std::optional<ckks::Level>> needed(plan.tensors.size());
  needed[static_cast<std::size_t>(plan.steps.back().output)] = plan.output().level;
  for (std::size_t s = plan.steps.size(); s-- > 0;) {
    plan::Step& step = plan.steps[s];
    const ckks::Level out = needed[static_cast<std::size_t>(step.output)].value_or(plan.parameters.whole(1));
    step.level = ckks::level_of_size(ckks::units_of(out, small) + plan::units_taken(step), small);
    const ckks::Level product = plan::levels_of(plan, step).product;
    if (product.limbs < out.limbs || step.level.limbs < product.limbs) return false;
    plan.tensors[static_cast<std::size_t>(step.output)].level = out;
    for (const plan::Term& t : step.terms) {
      std::optional<ckks::Level>& source = needed[static_cast<std::size_t>(t.source)];
      source = source ? ckks::join(*source, step.level) : step.level;
    }
  }
  // What the owner of the images is warned by (plan::Probe) needs whole primes.
  plan.tensors.front().level = needed.front().value();
  if (small > 0)
    plan.tensors.front().level = ckks::join(plan.input().level, plan.parameters.whole(plan::kMostProbeLimbs));
  return true;
}

std::vector<Division> divisions_of(const plan::Plan& plan) {
  std::vector<Division> divisions;
  for (const plan::Step& s : plan.steps) divisions.push_back({s.early, s.late});
  return divisions;
}

// Where the search begins: with one late prime for every level, in groups with two for every second one from the last
// step on.
std::vector<Division> late_divisions(const plan::Plan& plan) {
  std::vector<Division> divisions = divisions_of(plan);
  bool second = true;
  for (std::size_t s = plan.steps.size(); plan.group() > 1 && s-- > 0;) {
    if (!plan::divides(plan, plan.steps[s])) continue;
    divisions[s].late += second ? plan.parameters.small_primes + 1 : 0;
    second = !second;
  }
  return divisions;
}

// And with sums that are divided by a prime before they are squared.
std::vector<Division> early_divisions(const plan::Plan& plan) {
  const int whole = plan.parameters.small_primes + 1;
  std::vector<Division> divisions = divisions_of(plan);
  for (std::size_t s = 0; s < divisions.size(); ++s)
    if (plan.steps[s].kind == plan::Kind::square) divisions[s] = {whole, 0};
  divisions.back().late = whole;
  return divisions;
}

// Gives a plan whose steps divide by whole primes so many small ones.
void set_small_primes(plan::Plan& plan, int count) {
  const int before = plan.parameters.small_primes;
  plan.parameters.small_primes = count;
  for (plan::Step& s : plan.steps) s.late = s.late / (before + 1) * (count + 1);
  plan::Tensor& scores = plan.tensors[static_cast<std::size_t>(plan.steps.back().output)];
  scores.level = plan.parameters.whole(scores.level.limbs - before);
}

}  // namespace

bool assign_levels(plan::Plan& plan) {
  if (!assign(plan)) return false;
  const ckks::ParametersSpec& p = plan.parameters;
  const int primes = most_primes(kLogN, p.security, p.small_primes), limbs = plan.input().level.limbs,
            special = special_primes(limbs, primes - limbs);
  if (limbs > kMostLimbs || special < 2) return false;
  plan.parameters = {kLogN,         ring::RingKind::conjugate_invariant, limbs, special, kPrimeBits, primes, p.security,
                     p.small_primes};
  return true;
}

std::optional<Draft> levels_without_bootstraps(plan::Plan packed, const Statistics& statistics,
                                               const WantedVariance& wanted, bool small_primes) {
  const bool squares = plan::has(packed, plan::Kind::square);
  if (wanted.at_most < HUGE_VAL && squares && small_primes) {
    set_small_primes(packed, kSmallPrimes);
    if (!assign_levels(packed)) set_small_primes(packed, 0);  // whose bits the deepest networks need
  }
  const std::vector<Division> fewest = divisions_of(packed);
  std::vector<std::vector<Division>> firsts;
  if (wanted.at_most < HUGE_VAL) {
    if (squares) firsts.push_back(early_divisions(packed));
    firsts.push_back(late_divisions(packed));
  }
  if (!assign_levels(packed)) return std::nullopt;
  for (std::size_t t = 0; t < packed.tensors.size(); ++t) packed.tensors[t].moments = statistics.moments[t];
  DivisionSearch search(std::move(packed), statistics, wanted);
  std::optional<DivisionSearch::Choice> best;
  for (const std::vector<Division>& first : firsts) {
    std::optional<DivisionSearch::Choice> found = search.from(first, best ? &*best : nullptr);
    if (found && (!best || search.better(*found, *best))) best = std::move(found);
  }
  if (!best) best = search.from(fewest);  // fits, as nothing else may
  return search.take(std::move(*best));
}

}  // namespace sotto::compiler
