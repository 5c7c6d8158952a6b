#include "compiler/levels.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <optional>
#include <utility>

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
// Nor is a search that begins with so many times the time of what another has found.
constexpr double kFarBehind = 1.15;
constexpr double kCheapSeconds = 10;  // predicted for a typical processor

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

// Sizes that a division may have, in units: a prime or a small prime, or two of these. From any level they lead to one
// with no more primes that are not small.
std::vector<int> sizes(int small_primes) {
  const int whole = small_primes + 1;
  if (small_primes == 0) return {0, 1, 2};
  return {0, small_primes, whole, 2 * small_primes, small_primes + whole, 2 * whole};
}

// All that a ciphertext may have in the ring of these parameters.
std::vector<std::uint64_t> ciphertext_primes(ckks::ParametersSpec parameters) {
  parameters.ciphertext_primes = kMostLimbs;
  return ckks::primes_of(parameters);
}

// A step's divisions, in units.
struct Division {
  int early = 0, late = 0;
};

// A plan's divisions, by step, and what comes of them.
struct Choice {
  std::vector<Division> divisions;
  Scales scales;
  double seconds = 0;  // predicted, without reading keys

  [[nodiscard]] double variance() const { return scales.total_variance(); }
};

// Looks for the divisions of all steps, tried out on one plan, whose weights are too many to be copied.
class Search {
 public:
  Search(plan::Plan plan, const Statistics& statistics, const WantedVariance& wanted)
      : statistics_(statistics),
        wanted_(wanted),
        plan_(std::move(plan)),
        costs_(plan_),
        primes_(ciphertext_primes(plan_.parameters)),
        sizes_(sizes(plan_.parameters.small_primes)) {
    const plan::Schedule schedule = plan::make_schedule(plan_);
    errors_ = weight_errors(plan_, plan::weight_noise(plan_, schedule));
    rotated_ = plan::rotated_share(plan_, schedule);
  }

  [[nodiscard]] bool enough(const Choice& c) const {
    const double variance = c.variance();
    return variance <= wanted_.at_most && (variance <= wanted_.if_cheap || c.seconds >= kCheapSeconds);
  }

  // The best choice that begins with these; nothing if the modulus has no room for them. rival: what was found from
  // others; far behind it the search ends.
  std::optional<Choice> from(std::vector<Division> first, const Choice* rival = nullptr) {
    if (!apply(first)) return std::nullopt;
    best_ = evaluate(std::move(first));
    if (wanted_.at_most == HUGE_VAL) return best_;
    const auto behind = [&] {
      return rival != nullptr && enough(*rival) && best_.seconds > kFarBehind * rival->seconds;
    };
    while (!behind() && !enough(best_) && add()) {
    }
    while (!behind() && enough(best_) && spare()) {
    }
    return best_;
  }

  // Of choices that are exact enough the faster one, of others the more exact one.
  [[nodiscard]] bool better(const Choice& a, const Choice& b) const {
    if (enough(a) != enough(b)) return enough(a);
    return enough(a) ? a.seconds < b.seconds : a.variance() < b.variance();
  }

  [[nodiscard]] Draft take(Choice choice) {
    check(apply(choice.divisions), "levels that were assigned before");
    return {std::move(plan_), std::move(errors_), std::move(rotated_), std::move(choice.scales)};
  }

 private:
  [[nodiscard]] const plan::Step& step(std::size_t s) const { return plan_.steps[s]; }

  [[nodiscard]] double seconds_of_plan() const {
    const int primes = most_primes(kLogN, plan_.parameters.security, plan_.parameters.small_primes);
    const auto special = [primes](int limbs) { return special_primes(limbs, primes - limbs); };
    double sum = 0;
    for (std::size_t s = 0; s < plan_.steps.size(); ++s)
      sum += costs_.at(static_cast<int>(s), step(s).level, special).seconds(plan::kTypicalSpeed);
    return sum;
  }

  bool apply(const std::vector<Division>& divisions) {
    for (std::size_t s = 0; s < divisions.size(); ++s) {
      plan_.steps[s].early = divisions[s].early;
      plan_.steps[s].late = divisions[s].late;
    }
    return assign_levels(plan_);
  }

  // The plan with these divisions, to which it has been set.
  Choice evaluate(std::vector<Division> divisions) {
    const Scales* near = best_.divisions.empty() ? nullptr : &best_.scales;
    Scales scales = choose_scales(plan_, statistics_, errors_, rotated_, primes_, near);
    return {std::move(divisions), std::move(scales), seconds_of_plan()};
  }

  // The best choice with other divisions of some steps, if the modulus has room for it.
  std::optional<Choice> changed(const std::vector<std::pair<std::size_t, Division>>& changes) {
    std::vector<Division> divisions = best_.divisions;
    for (const auto& [s, division] : changes) divisions[s] = division;
    if (!apply(divisions)) return std::nullopt;
    return evaluate(std::move(divisions));
  }

  // The next larger size that a division may have; nothing beyond the most.
  [[nodiscard]] std::optional<int> larger(int size, int most) const {
    const auto next = std::ranges::upper_bound(sizes_, size);
    return next == std::end(sizes_) || *next > most ? std::nullopt : std::optional(*next);
  }
  [[nodiscard]] int smaller(int size) const { return *std::prev(std::ranges::lower_bound(sizes_, size)); }

  // Larger divisions of a step, by one size.
  [[nodiscard]] std::vector<Division> more(std::size_t s) const {
    if (!plan::divides(plan_, step(s))) return {};
    const int whole = plan_.parameters.small_primes + 1;
    const auto [early, late] = best_.divisions[s];
    std::vector<Division> all;
    // Of steps that divide early a late division of a prime at most.
    if (const auto l = larger(late, step(s).keep || early > 0 ? whole : plan::kMostDivided * whole))
      all.push_back({early, *l});
    if (const auto e = larger(early, plan::kMostDivided * whole); e && early > 0) all.push_back({*e, late});
    return all;
  }

  // Smaller divisions of a step, by one size, and the same divided together with the special primes.
  [[nodiscard]] std::vector<Division> fewer(std::size_t s) const {
    const auto [early, late] = best_.divisions[s];
    std::vector<Division> all;
    if (late > 0 && (step(s).kind != plan::Kind::multiply || smaller(late) > 0)) all.push_back({early, smaller(late)});
    if (early > 0) {
      all.push_back({smaller(early), late});
      if (const auto l = larger(late, plan::kMostDivided * (plan_.parameters.small_primes + 1)))
        all.push_back({smaller(early), *l});
    }
    return all;
  }

  // One larger division, where it gains most for its time. False if none helps.
  bool add() {
    std::optional<Choice> next;
    double most = 0;
    for (std::size_t s = 0; s < plan_.steps.size(); ++s) {
      for (const Division& d : more(s)) {
        std::optional<Choice> tried = changed({{s, d}});
        if (!tried) continue;
        const double gain = std::log(best_.variance() / tried->variance()),
                     rate = gain / std::max(tried->seconds - best_.seconds, 1e-3 * best_.seconds);
        if (!(gain >= kLeastGain) || rate <= most) continue;
        most = rate;
        next = std::move(tried);
      }
    }
    if (!next) return false;
    best_ = std::move(*next);
    while (move()) {
    }
    return true;
  }

  // Gives a late division to a neighbour of the step that has it, if that lowers the error; earlier ones are cheaper.
  bool move() {
    const auto count = static_cast<std::ptrdiff_t>(plan_.steps.size());
    for (std::ptrdiff_t s = 0; s < count; ++s) {
      const auto from = static_cast<std::size_t>(s);
      const auto [early, late] = best_.divisions[from];
      if (late == 0 || !plan::divides(plan_, step(from))) continue;
      for (std::ptrdiff_t at : {s - 1, s + 1, s - 2, s + 2}) {
        if (at < 0 || at >= count) continue;
        for (const Division& d : more(static_cast<std::size_t>(at))) {
          if (step(from).kind == plan::Kind::multiply && smaller(late) == 0) continue;
          std::optional<Choice> tried = changed({{from, {early, smaller(late)}}, {static_cast<std::size_t>(at), d}});
          if (!tried || !(std::log(best_.variance() / tried->variance()) >= kLeastGain)) continue;
          best_ = std::move(*tried);
          return true;
        }
      }
    }
    return false;
  }

  using Changes = std::vector<std::pair<std::size_t, Division>>;

  // Changes of which each leaves the scores exact enough and saves time, those first that raise the error least for
  // what they save. False if none does.
  bool spare() { return take(single_changes()) || take(paired_changes()); }

  // One division smaller, or larger where levels then meet better.
  [[nodiscard]] std::vector<Changes> single_changes() const {
    std::vector<Changes> all;
    for (std::size_t s = 0; s < plan_.steps.size(); ++s) {
      for (const Division& d : fewer(s)) all.push_back({{s, d}});
      for (const Division& d : more(s)) all.push_back({{s, d}});
    }
    return all;
  }

  // One division smaller and that of a neighbour larger.
  [[nodiscard]] std::vector<Changes> paired_changes() const {
    std::vector<Changes> all;
    for (std::size_t s = 0; s < plan_.steps.size(); ++s)
      for (std::size_t to = s + 1; to < std::min(s + 3, plan_.steps.size()); ++to)
        for (const auto& [a, b] : {std::pair{s, to}, std::pair{to, s}})
          for (const Division& d : fewer(a))
            for (const Division& e : more(b)) all.push_back({{a, d}, {b, e}});
    return all;
  }

  // Makes those of the changes that are worth it, one after the other. False if none is.
  bool take(const std::vector<Changes>& all) {
    std::vector<std::pair<double, const Changes*>> by_rate;
    for (const Changes& changes : all) {
      const std::optional<Choice> tried = changed(changes);
      if (!tried || !enough(*tried) || tried->seconds >= best_.seconds) continue;
      const double loss = std::log(tried->variance() / best_.variance());
      by_rate.emplace_back((best_.seconds - tried->seconds) / std::max(loss, 1e-3), &changes);
    }
    std::ranges::stable_sort(by_rate, std::greater{}, [](const auto& c) { return c.first; });
    const std::vector<Division> before = best_.divisions;
    for (const auto& [rate, changes] : by_rate) {
      const auto touched = [&](const auto& change) {
        const auto &now = best_.divisions[change.first], &then = before[change.first];
        return now.early != then.early || now.late != then.late;
      };
      if (std::ranges::any_of(*changes, touched)) continue;
      std::optional<Choice> tried = changed(*changes);
      if (tried && enough(*tried) && tried->seconds < best_.seconds) best_ = std::move(*tried);
    }
    return !by_rate.empty();
  }

  const Statistics& statistics_;
  const WantedVariance& wanted_;
  plan::Plan plan_;
  plan::LevelCosts costs_;
  std::vector<std::uint64_t> primes_;  // of the largest modulus
  std::vector<std::vector<WeightErrors>> errors_;
  std::vector<double> rotated_;
  std::vector<int> sizes_;
  Choice best_;
};

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
  Search search(std::move(packed), statistics, wanted);
  std::optional<Choice> best;
  for (const std::vector<Division>& first : firsts) {
    std::optional<Choice> found = search.from(first, best ? &*best : nullptr);
    if (found && (!best || search.better(*found, *best))) best = std::move(found);
  }
  if (!best) best = search.from(fewest);  // fits, as nothing else may
  return search.take(std::move(*best));
}

}  // namespace sotto::compiler
