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

// Extra primes for some steps, tried out on one plan, whose weights are too many to be copied.
class Search {
 public:
  Search(plan::Plan plan, const Statistics& statistics)
      : statistics_(statistics), plan_(std::move(plan)), costs_(plan_) {
    const plan::Schedule schedule = plan::make_schedule(plan_);
    errors_ = weight_errors(plan_, plan::weight_noise(plan_, schedule));
    rotated_ = plan::rotated_share(plan_, schedule);
    for (const plan::Step& s : plan_.steps) best_.extra.push_back(s.extra_primes);
    best_.scales = choose_scales(plan_, statistics_, errors_, rotated_);
    best_.seconds = seconds_of_plan();
  }

  [[nodiscard]] Draft take() {
    check(apply(best_.extra), "levels that were assigned before");
    return {std::move(plan_), std::move(errors_), std::move(rotated_), std::move(best_.scales)};
  }
  [[nodiscard]] double variance() const { return best_.scales.total_variance(); }
  [[nodiscard]] double seconds() const { return best_.seconds; }

  // Takes away the extra prime that raises the error least for the time that it takes, of those without which
  // `enough(variance, seconds)` holds. False if there is none.
  template <class Enough>
  bool remove(const Enough& enough) {
    std::optional<Choice> next;
    double most = 0;
    for (std::size_t s = 0; s < plan_.steps.size(); ++s) {
      if (best_.extra[s] == 0) continue;
      std::vector<int> extra = best_.extra;
      extra[s] = 0;
      check(apply(extra), "room for fewer levels than before");
      Choice tried = evaluate(std::move(extra));
      if (!enough(tried.scales.total_variance(), tried.seconds)) continue;
      const double loss = std::log(tried.scales.total_variance() / variance()),
                   rate = (seconds() - tried.seconds) / std::max(loss, 1e-3);
      if (rate <= most) continue;
      most = rate;
      next = std::move(tried);
    }
    if (!next) return false;
    best_ = std::move(*next);
    return true;
  }

  // One more extra prime, where it gains most for its time; then moves those that lie better beside. False if none
  // helps.
  bool add() {
    std::optional<Choice> next;
    double most = 0;
    for (std::size_t s = 0; s < plan_.steps.size(); ++s) {
      if (!plan::takes_extra_primes(plan_, plan_.steps[s]) || best_.extra[s] > 0) continue;
      std::vector<int> extra = best_.extra;
      extra[s] = 1;
      std::optional<Choice> tried = try_out(std::move(extra));
      if (!tried) continue;
      const double gain = std::log(variance() / tried->scales.total_variance()),
                   rate = gain / std::max(tried->seconds - seconds(), 1e-3 * seconds());
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

 private:
  struct Choice {
    std::vector<int> extra;  // primes, by step
    Scales scales;
    double seconds = 0;
  };

  // Predicted, without reading keys.
  [[nodiscard]] double seconds_of_plan() const {
    const auto special = [primes = most_primes(kLogN, plan_.parameters.security)](int limbs) {
      return special_primes(limbs, primes - limbs);
    };
    double sum = 0;
    for (std::size_t s = 0; s < plan_.steps.size(); ++s)
      sum += costs_.at(static_cast<int>(s), plan_.steps[s].limbs, special).seconds(plan::kTypicalSpeed);
    return sum;
  }

  bool apply(const std::vector<int>& extra) {
    for (std::size_t s = 0; s < extra.size(); ++s) plan_.steps[s].extra_primes = extra[s];
    return assign_levels(plan_);
  }

  // The plan with these extra primes, to which it has been set.
  Choice evaluate(std::vector<int> extra) {
    Choice c{std::move(extra), choose_scales(plan_, statistics_, errors_, rotated_)};
    c.seconds = seconds_of_plan();
    return c;
  }

  // The plan with these extra primes, if the modulus has room for them and they are worth it.
  std::optional<Choice> try_out(std::vector<int> extra) {
    if (!apply(extra)) return std::nullopt;
    Choice c = evaluate(std::move(extra));
    if (std::log(variance() / c.scales.total_variance()) < kLeastGain) return std::nullopt;
    return c;
  }

  // Gives an extra prime to a neighbour of the step that has it, if that lowers the error; earlier ones are cheaper.
  bool move() {
    const auto count = static_cast<std::ptrdiff_t>(plan_.steps.size());
    for (std::ptrdiff_t s = 0; s < count; ++s) {
      if (best_.extra[static_cast<std::size_t>(s)] == 0) continue;
      for (std::ptrdiff_t to : {s - 1, s + 1, s - 2, s + 2}) {
        if (to < 0 || to >= count || !plan::takes_extra_primes(plan_, plan_.steps[static_cast<std::size_t>(to)]) ||
            best_.extra[static_cast<std::size_t>(to)] > 0)
          continue;
        std::vector<int> extra = best_.extra;
        extra[static_cast<std::size_t>(s)] = 0;
        extra[static_cast<std::size_t>(to)] = 1;
        std::optional<Choice> tried = try_out(std::move(extra));
        if (!tried) continue;
        best_ = std::move(*tried);
        return true;
      }
    }
    return false;
  }

  const Statistics& statistics_;
  plan::Plan plan_;
  plan::LevelCosts costs_;
  std::vector<std::vector<WeightErrors>> errors_;
  std::vector<double> rotated_;
  Choice best_;
};

// An extra prime for every second step, beginning with the last one.
void take_every_second(plan::Plan& plan) {
  bool second = true;
  for (std::size_t s = plan.steps.size(); s-- > 0;) {
    plan::Step& step = plan.steps[s];
    if (!plan::takes_extra_primes(plan, step)) continue;
    step.extra_primes = second ? 1 : 0;
    second = !second;
  }
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
  if (packed.group() > 1) take_every_second(packed);
  if (!assign_levels(packed)) {
    for (plan::Step& s : packed.steps) s.extra_primes = 0;
    if (!assign_levels(packed)) return std::nullopt;
  }
  for (std::size_t t = 0; t < packed.tensors.size(); ++t) packed.tensors[t].moments = statistics.moments[t];
  Search search(std::move(packed), statistics);
  const auto enough = [&](double variance, double seconds) {
    return variance <= wanted.at_most && (variance <= wanted.if_cheap || seconds >= kCheapSeconds);
  };
  while (!enough(search.variance(), search.seconds()) && search.add()) {
  }
  while (search.remove(enough)) {
  }
  return search.take();
}

}  // namespace sotto::compiler
