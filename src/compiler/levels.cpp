#include "compiler/levels.h"

#include <algorithm>
#include <cmath>

#include "ckks/security.h"
#include "compiler/key_tiers.h"
#include "plan/cost.h"
#include "plan/schedule.h"

namespace sotto::compiler {

namespace {

constexpr int kLogN = 16;
constexpr int kMostLimbs = 64;
// A prime that does not lower the variance by so much is not worth its time.
constexpr double kLeastGain = 0.02;
constexpr double kCheapSeconds = 10;  // predicted for a typical processor

// As few limbs as what follows needs, for every tensor and step; returns the most.
int assign_limbs(plan::Plan& plan) {
  std::vector<int> needed(plan.tensors.size(), plan.level_primes);
  for (std::size_t s = plan.steps.size(); s-- > 0;) {
    plan::Step& step = plan.steps[s];
    step.limbs = needed[static_cast<std::size_t>(step.output)] + plan::levels_taken(plan, step);
    for (const plan::Term& t : step.terms) {
      int& limbs = needed[static_cast<std::size_t>(t.source)];
      limbs = std::max(limbs, step.limbs);
    }
  }
  for (std::size_t t = 0; t < needed.size(); ++t) plan.tensors[t].limbs = needed[t];
  return needed.front();
}

// Levels and parameters; false if the modulus has no room for them.
bool assign_levels(plan::Plan& plan, LevelSize size) {
  plan.level_primes = size.primes;
  const int limbs = assign_limbs(plan), special = special_primes(limbs, most_primes(size.bits) - limbs);
  if (limbs > kMostLimbs || special < 2) return false;
  plan.parameters = {kLogN, ring::RingKind::conjugate_invariant, limbs,
                     special_primes(limbs, std::min(most_primes(size.bits) - limbs, kMostLimbs)), size.bits};
  plan.batch = (1 << kLogN) / plan.period();
  return true;
}

// Predicted seconds, with one tier of keys.
double seconds_of(plan::Plan plan) {
  plan.keys.tiers = {{plan.parameters.ciphertext_primes, plan.parameters.special_primes}};
  plan.keys.keys = plan::required_keys(plan, plan::make_schedule(plan));
  return plan::estimate(plan).seconds(plan::kTypicalSpeed);
}

// Extra primes for some steps, tried out.
class Search {
 public:
  Search(const plan::Plan& plan, LevelSize size, const Statistics& statistics)
      : size_(size),
        statistics_(statistics),
        noise_(plan::weight_noise(plan, plan::make_schedule(plan))),
        best_{plan, {}} {
    best_.scales = choose_scales(best_.plan, statistics_, noise_);
    seconds_ = seconds_of(best_.plan);
  }

  [[nodiscard]] Draft take() { return std::move(best_); }
  [[nodiscard]] double variance() const { return best_.scales.total_variance(); }
  [[nodiscard]] double seconds() const { return seconds_; }

  // One more extra prime, where it gains most for its time; then moves those that lie better beside. False if none
  // helps.
  bool add() {
    std::optional<Draft> next;
    double most = 0, next_seconds = 0;
    for (std::size_t s = 0; s < best_.plan.steps.size(); ++s) {
      if (best_.plan.steps[s].slotwise() || best_.plan.steps[s].extra_primes > 0) continue;
      std::optional<Draft> tried = with(s, 1, s, 1);
      if (!tried) continue;
      const double gain = std::log(variance() / tried->scales.total_variance());
      if (gain < kLeastGain) continue;
      const double seconds = seconds_of(tried->plan), rate = gain / std::max(seconds - seconds_, 1e-3 * seconds_);
      if (rate <= most) continue;
      most = rate;
      next = std::move(tried);
      next_seconds = seconds;
    }
    if (!next) return false;
    best_ = std::move(*next);
    seconds_ = next_seconds;
    while (move()) {
    }
    return true;
  }

 private:
  // The best plan with the extra primes of two steps changed.
  [[nodiscard]] std::optional<Draft> with(std::size_t a, int extra_a, std::size_t b, int extra_b) const {
    Draft d{best_.plan, {}};
    d.plan.steps[a].extra_primes = extra_a;
    d.plan.steps[b].extra_primes = extra_b;
    if (!assign_levels(d.plan, size_)) return std::nullopt;
    d.scales = choose_scales(d.plan, statistics_, noise_);
    return d;
  }

  // Gives an extra prime to a neighbour of the step that has it, if that lowers the error; earlier ones are cheaper.
  bool move() {
    const auto count = static_cast<std::ptrdiff_t>(best_.plan.steps.size());
    for (std::ptrdiff_t s = 0; s < count; ++s) {
      if (best_.plan.steps[static_cast<std::size_t>(s)].extra_primes == 0) continue;
      for (std::ptrdiff_t to : {s - 1, s + 1, s - 2, s + 2}) {
        if (to < 0 || to >= count || best_.plan.steps[static_cast<std::size_t>(to)].slotwise() ||
            best_.plan.steps[static_cast<std::size_t>(to)].extra_primes > 0)
          continue;
        std::optional<Draft> tried = with(static_cast<std::size_t>(s), 0, static_cast<std::size_t>(to), 1);
        if (!tried || std::log(variance() / tried->scales.total_variance()) < kLeastGain) continue;
        best_ = std::move(*tried);
        seconds_ = seconds_of(best_.plan);
        return true;
      }
    }
    return false;
  }

  LevelSize size_;
  const Statistics& statistics_;
  std::vector<std::vector<plan::WeightNoise>> noise_;
  Draft best_;
  double seconds_ = 0;
};

}  // namespace

int most_primes(int bits) {
  return static_cast<int>(ckks::find_security_row(kLogN, ckks::SecretDistribution::ternary)->max_log2_qp / bits);
}

std::optional<Draft> levels_without_refreshes(plan::Plan lowered, LevelSize size, const Statistics& statistics,
                                              const WantedVariance& wanted) {
  if (!assign_levels(lowered, size)) return std::nullopt;
  for (std::size_t t = 0; t < lowered.tensors.size(); ++t) lowered.tensors[t].moments = statistics.moments[t];
  Search search(lowered, size, statistics);
  const auto more = [&] {
    return search.variance() > wanted.at_most ||
           (search.variance() > wanted.if_cheap && search.seconds() < kCheapSeconds);
  };
  while (more() && search.add()) {
  }
  return search.take();
}

}  // namespace sotto::compiler
