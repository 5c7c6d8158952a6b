#include "compiler/levels.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "compiler/key_tiers.h"
#include "compiler/weight_errors.h"
#include "plan/level_costs.h"
#include "plan/noise.h"
#include "plan/schedule.h"

namespace sotto::compiler {

namespace {

constexpr int kMostLimbs = 64;
// A prime that does not lower the variance by so much is not worth its time.
constexpr double kLeastGain = 0.02;
constexpr double kCheapSeconds = 10;  // predicted for a typical processor

// As few limbs as what follows needs, for every tensor and step, and those of the output at least; returns the most.
int assign_limbs(plan::Plan& plan) {
  std::vector<int> needed(plan.tensors.size(), 1);
  int& scores = needed[static_cast<std::size_t>(plan.steps.back().output)];
  scores = std::max(scores, plan.output().limbs);
  for (std::size_t s = plan.steps.size(); s-- > 0;) {
    plan::Step& step = plan.steps[s];
    step.limbs = needed[static_cast<std::size_t>(step.output)] + plan::levels_taken(step);
    for (const plan::Term& t : step.terms) {
      int& limbs = needed[static_cast<std::size_t>(t.source)];
      limbs = std::max(limbs, step.limbs);
    }
  }
  for (std::size_t t = 0; t < needed.size(); ++t) plan.tensors[t].limbs = needed[t];
  return needed.front();
}

// The primes by which a step divides.
struct Primes {
  int early = 0, late = 0;
};

// A plan's primes, by step, and what comes of them.
struct Choice {
  std::vector<Primes> primes;
  Scales scales;
  double seconds = 0;  // predicted, without reading keys

  [[nodiscard]] double variance() const { return scales.total_variance(); }
};

// Looks for the primes of all steps, tried out on one plan, whose weights are too many to be copied.
class Search {
 public:
  Search(plan::Plan plan, const Statistics& statistics, const WantedVariance& wanted)
      : statistics_(statistics), wanted_(wanted), plan_(std::move(plan)), costs_(plan_) {
    const plan::Schedule schedule = plan::make_schedule(plan_);
    errors_ = weight_errors(plan_, plan::weight_noise(plan_, schedule));
    rotated_ = plan::rotated_share(plan_, schedule);
  }

  [[nodiscard]] bool enough(const Choice& c) const {
    const double variance = c.variance();
    return variance <= wanted_.at_most && (variance <= wanted_.if_cheap || c.seconds >= kCheapSeconds);
  }

  // The best choice that begins with these; nothing if the modulus has no room for them.
  std::optional<Choice> from(std::vector<Primes> first) {
    if (!apply(first)) return std::nullopt;
    best_ = evaluate(std::move(first));
    if (wanted_.at_most == HUGE_VAL) return best_;
    while (!enough(best_) && add()) {
    }
    while (remove()) {
    }
    return best_;
  }

  // Of choices that are exact enough the faster one, of others the more exact one.
  [[nodiscard]] bool better(const Choice& a, const Choice& b) const {
    if (enough(a) != enough(b)) return enough(a);
    return enough(a) ? a.seconds < b.seconds : a.variance() < b.variance();
  }

  [[nodiscard]] Draft take(Choice choice) {
    check(apply(choice.primes), "levels that were assigned before");
    return {std::move(plan_), std::move(errors_), std::move(rotated_), std::move(choice.scales)};
  }

 private:
  [[nodiscard]] const plan::Step& step(std::size_t s) const { return plan_.steps[s]; }

  [[nodiscard]] double seconds_of_plan() const {
    const auto special = [primes = most_primes(kLogN, plan_.parameters.security)](int limbs) {
      return special_primes(limbs, primes - limbs);
    };
    double sum = 0;
    for (std::size_t s = 0; s < plan_.steps.size(); ++s)
      sum += costs_.at(static_cast<int>(s), step(s).limbs, special).seconds(plan::kTypicalSpeed);
    return sum;
  }

  bool apply(const std::vector<Primes>& primes) {
    for (std::size_t s = 0; s < primes.size(); ++s) {
      plan_.steps[s].early_primes = primes[s].early;
      plan_.steps[s].late_primes = primes[s].late;
    }
    return assign_levels(plan_);
  }

  // The plan with these primes, to which it has been set.
  Choice evaluate(std::vector<Primes> primes) {
    return {std::move(primes), choose_scales(plan_, statistics_, errors_, rotated_), seconds_of_plan()};
  }

  // The plan with these primes, if the modulus has room for them and they are worth it.
  std::optional<Choice> try_out(std::vector<Primes> primes) {
    if (!apply(primes)) return std::nullopt;
    Choice c = evaluate(std::move(primes));
    if (!(std::log(best_.variance() / c.variance()) >= kLeastGain)) return std::nullopt;
    return c;
  }

  [[nodiscard]] bool takes_more(std::size_t s) const {
    return plan::divides(plan_, step(s)) && best_.primes[s].late < most_late(s);
  }
  // Of steps that begin with a late prime one more than that.
  [[nodiscard]] int most_late(std::size_t s) const { return step(s).keep || best_.primes[s].early > 0 ? 1 : 2; }

  // One more late prime, where it gains most for its time; then moves those that lie better beside. False if none
  // helps.
  bool add() {
    std::optional<Choice> next;
    double most = 0;
    for (std::size_t s = 0; s < plan_.steps.size(); ++s) {
      if (!takes_more(s)) continue;
      std::vector<Primes> primes = best_.primes;
      ++primes[s].late;
      std::optional<Choice> tried = try_out(std::move(primes));
      if (!tried) continue;
      const double gain = std::log(best_.variance() / tried->variance()),
                   rate = gain / std::max(tried->seconds - best_.seconds, 1e-3 * best_.seconds);
      if (rate <= most) continue;
      most = rate;
      next = std::move(tried);
    }
    if (!next) return false;
    best_ = std::move(*next);
    while (move()) {
    }
    return true;
  }

  // Gives a late prime to a neighbour of the step that has it, if that lowers the error; earlier ones are cheaper.
  bool move() {
    const auto count = static_cast<std::ptrdiff_t>(plan_.steps.size());
    for (std::ptrdiff_t s = 0; s < count; ++s) {
      if (best_.primes[static_cast<std::size_t>(s)].late < most_late(static_cast<std::size_t>(s))) continue;
      for (std::ptrdiff_t to : {s - 1, s + 1, s - 2, s + 2}) {
        if (to < 0 || to >= count || !takes_more(static_cast<std::size_t>(to))) continue;
        std::vector<Primes> primes = best_.primes;
        --primes[static_cast<std::size_t>(s)].late;
        ++primes[static_cast<std::size_t>(to)].late;
        std::optional<Choice> tried = try_out(std::move(primes));
        if (!tried) continue;
        best_ = std::move(*tried);
        return true;
      }
    }
    return false;
  }

  // Takes away the prime, or the early division, that raises the error least for the time that it takes, of those
  // without which the error is small enough. False if there is none.
  bool remove() {
    std::optional<Choice> next;
    double most = 0;
    for (std::size_t s = 0; s < plan_.steps.size(); ++s) {
      for (const Primes& fewer : cheaper(s)) {
        std::vector<Primes> primes = best_.primes;
        primes[s] = fewer;
        check(apply(primes), "room for fewer levels than before");
        Choice tried = evaluate(std::move(primes));
        if (!enough(tried)) continue;
        const double loss = std::log(tried.variance() / best_.variance()),
                     rate = (best_.seconds - tried.seconds) / std::max(loss, 1e-3);
        if (rate <= most) continue;
        most = rate;
        next = std::move(tried);
      }
    }
    if (!next) return false;
    best_ = std::move(*next);
    return true;
  }

  // Fewer primes than a step has, and the same divided together with the special primes.
  [[nodiscard]] std::vector<Primes> cheaper(std::size_t s) const {
    const auto [early, late] = best_.primes[s];
    std::vector<Primes> all;
    if (late > (step(s).kind == plan::Kind::multiply ? 1 : 0)) all.push_back({early, late - 1});
    if (early > 0) all.push_back({early - 1, late});
    if (early > 0 && late < plan::kMostDivided) all.push_back({early - 1, late + 1});
    return all;
  }

  const Statistics& statistics_;
  const WantedVariance& wanted_;
  plan::Plan plan_;
  plan::LevelCosts costs_;
  std::vector<std::vector<WeightErrors>> errors_;
  std::vector<double> rotated_;
  Choice best_;
};

std::vector<Primes> primes_of(const plan::Plan& plan) {
  std::vector<Primes> primes;
  for (const plan::Step& s : plan.steps) primes.push_back({s.early_primes, s.late_primes});
  return primes;
}

// Where the search begins: with one late prime for every level, in groups with two for every second one from the last
// step on.
std::vector<Primes> late_primes(const plan::Plan& plan) {
  std::vector<Primes> primes = primes_of(plan);
  bool second = true;
  for (std::size_t s = plan.steps.size(); plan.group() > 1 && s-- > 0;) {
    if (!plan::divides(plan, plan.steps[s])) continue;
    primes[s].late += second ? 1 : 0;
    second = !second;
  }
  return primes;
}

// And with sums that are divided before they are squared.
std::vector<Primes> early_primes(const plan::Plan& plan) {
  std::vector<Primes> primes = primes_of(plan);
  for (std::size_t s = 0; s < primes.size(); ++s)
    if (plan.steps[s].kind == plan::Kind::square) primes[s] = {1, 0};
  primes.back().late = 1;
  return primes;
}

}  // namespace

bool assign_levels(plan::Plan& plan) {
  const ckks::SecurityLevel security = plan.parameters.security;
  const int primes = most_primes(kLogN, security), limbs = assign_limbs(plan),
            special = special_primes(limbs, primes - limbs);
  if (limbs > kMostLimbs || special < 2) return false;
  plan.parameters = {kLogN, ring::RingKind::conjugate_invariant, limbs, special, kPrimeBits, primes, security};
  return true;
}

std::optional<Draft> levels_without_bootstraps(plan::Plan packed, const Statistics& statistics,
                                               const WantedVariance& wanted) {
  const std::vector<Primes> fewest = primes_of(packed);
  std::vector<std::vector<Primes>> firsts;
  if (wanted.at_most < HUGE_VAL) {
    firsts.push_back(late_primes(packed));
    if (plan::has(packed, plan::Kind::square)) firsts.push_back(early_primes(packed));
  }
  if (!assign_levels(packed)) return std::nullopt;
  for (std::size_t t = 0; t < packed.tensors.size(); ++t) packed.tensors[t].moments = statistics.moments[t];
  Search search(std::move(packed), statistics, wanted);
  std::optional<Choice> best;
  for (const std::vector<Primes>& first : firsts) {
    std::optional<Choice> found = search.from(first);
    if (found && (!best || search.better(*found, *best))) best = std::move(found);
  }
  if (!best) best = search.from(fewest);  // fits, as nothing else may
  return search.take(std::move(*best));
}

}  // namespace sotto::compiler
