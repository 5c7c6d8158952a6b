#include "compiler/division_search.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <iterator>
#include <numeric>
#include <random>

#include "base/error.h"
#include "compiler/key_tiers.h"
#include "compiler/weight_errors.h"
#include "plan/noise.h"
#include "plan/schedule.h"

namespace sotto::compiler {

namespace {

// A division that does not lower the variance by so much is not worth its time.
constexpr double kLeastGain = 0.02;
// Nor is a search that saves less than this part of it.
constexpr double kLeastSaved = 3e-3;
// Nor is one from where so many times the time of what another has found is taken.
constexpr double kFarBehind = 1.15;
constexpr double kCheapSeconds = 10;  // predicted for a typical processor
// A walk: its steps, and what part of the time it may lose in one of them, at its beginning and its end.
constexpr int kWalkSteps = 100000;
constexpr double kFirstLoss = 3e-3, kLastLoss = 1e-4;
// How many steps walks may change, until one keeps to the variance; what they may use of it where the one before used
// too much, and where changes are few.
constexpr std::size_t kAll = SIZE_MAX;
constexpr std::size_t kMostChanges[] = {kAll, kAll, kAll, 4, 3, 2};
constexpr double kNarrower = 0.9, kOfFew = 0.97;
// Alternatives that err by more than so many times the variance wanted are not looked at.
constexpr double kHopeless = 8;

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

// By step, the logarithm of how many times as large the variance is.
std::vector<double> ratios(const Scales& scales, const Scales& of) {
  std::vector<double> logs;
  for (std::size_t s = 0; s < scales.variance.size(); ++s)
    logs.push_back(of.variance[s] > 0 && scales.variance[s] > 0 ? std::log(scales.variance[s] / of.variance[s]) : 0);
  return logs;
}

}  // namespace

DivisionSearch::DivisionSearch(plan::Plan packed, const Statistics& statistics, const WantedVariance& wanted)
    : statistics_(statistics),
      wanted_(wanted),
      plan_(std::move(packed)),
      costs_(plan_),
      primes_(ciphertext_primes(plan_.parameters)),
      sizes_(sizes(plan_.parameters.small_primes)) {
  const plan::Schedule schedule = plan::make_schedule(plan_);
  errors_ = weight_errors(plan_, plan::weight_noise(plan_, schedule));
  rotated_ = plan::rotated_share(plan_, schedule);
}

double DivisionSearch::most_variance(double seconds) const {
  return seconds < kCheapSeconds ? std::min(wanted_.at_most, wanted_.if_cheap) : wanted_.at_most;
}

std::optional<DivisionSearch::Choice> DivisionSearch::from(std::vector<Division> first, const Choice* rival) {
  if (!apply(first)) return std::nullopt;
  best_ = evaluate(std::move(first));
  if (wanted_.at_most == HUGE_VAL) return best_;
  const auto behind = [&] { return rival != nullptr && enough(*rival) && best_.seconds > kFarBehind * rival->seconds; };
  while (!behind() && !enough(best_) && add()) {
  }
  while (!behind() && enough(best_) && spare()) {
  }
  return best_;
}

bool DivisionSearch::better(const Choice& a, const Choice& b) const {
  if (enough(a) != enough(b)) return enough(a);
  return enough(a) ? a.seconds < b.seconds : a.variance() < b.variance();
}

Draft DivisionSearch::take(Choice choice) {
  check(apply(choice.divisions), "levels that were assigned before");
  return {std::move(plan_), std::move(errors_), std::move(rotated_), std::move(choice.scales)};
}

bool DivisionSearch::apply(const std::vector<Division>& divisions) {
  for (std::size_t s = 0; s < divisions.size(); ++s) {
    plan_.steps[s].early = divisions[s].early;
    plan_.steps[s].late = divisions[s].late;
  }
  return assign_levels(plan_);
}

// Of the plan as it has been set.
double DivisionSearch::seconds_of_plan() {
  const int primes = most_primes(kLogN, plan_.parameters.security, plan_.parameters.small_primes);
  const auto special = [primes](int limbs) { return special_primes(limbs, primes - limbs); };
  double sum = 0;
  for (std::size_t s = 0; s < plan_.steps.size(); ++s) {
    std::uint64_t key = s;
    for (int part : {step(s).level.limbs, step(s).level.absent, step(s).early, step(s).late})
      key = key << 8 | static_cast<std::uint64_t>(part);
    const auto [at, unknown] = known_.try_emplace(key);
    if (unknown) at->second = costs_.at(static_cast<int>(s), step(s).level, special).seconds(plan::kTypicalSpeed);
    sum += at->second;
  }
  return sum;
}

// The plan with these divisions, to which it has been set.
DivisionSearch::Choice DivisionSearch::evaluate(std::vector<Division> divisions) {
  const Scales* near = best_.divisions.empty() ? nullptr : &best_.scales;
  Scales scales = choose_scales(plan_, statistics_, errors_, rotated_, primes_, near);
  return {std::move(divisions), std::move(scales), seconds_of_plan()};
}

// The best choice with other divisions of some steps, if the modulus has room for it.
std::optional<DivisionSearch::Choice> DivisionSearch::changed(
    const std::vector<std::pair<std::size_t, Division>>& changes) {
  std::vector<Division> divisions = best_.divisions;
  for (const auto& [s, division] : changes) divisions[s] = division;
  if (!apply(divisions)) return std::nullopt;
  return evaluate(std::move(divisions));
}

// The next larger size that a division may have; nothing beyond the most.
std::optional<int> DivisionSearch::larger(int size, int most) const {
  const auto next = std::ranges::upper_bound(sizes_, size);
  return next == std::end(sizes_) || *next > most ? std::nullopt : std::optional(*next);
}

int DivisionSearch::smaller(int size) const { return *std::prev(std::ranges::lower_bound(sizes_, size)); }

// Whether a step can have a division.
bool DivisionSearch::allows(std::size_t s, const Division& d) const {
  if (!plan::divides(plan_, step(s))) return d == best_.divisions[s];
  const int whole = plan_.parameters.small_primes + 1;
  if (d.early > 0 && step(s).kind != plan::Kind::square) return false;
  if (d.late == 0 && step(s).kind == plan::Kind::multiply) return false;
  // Of steps that divide early a late division of a prime at most.
  return d.early <= plan::kMostDivided * whole &&
         d.late <= (step(s).keep || d.early > 0 ? whole : plan::kMostDivided * whole);
}

// Larger divisions of a step, by one size.
std::vector<Division> DivisionSearch::more(std::size_t s) const {
  const auto [early, late] = best_.divisions[s];
  std::vector<Division> all;
  if (const auto l = larger(late, sizes_.back()); l && allows(s, {early, *l})) all.push_back({early, *l});
  if (const auto e = larger(early, sizes_.back()); e && early > 0 && allows(s, {*e, late})) all.push_back({*e, late});
  return all;
}

// Divisions of which neither part differs by more than one size.
std::vector<Division> DivisionSearch::around(std::size_t s) const {
  const auto near = [&](int size) {
    std::vector<int> list{size};
    if (size > 0) list.push_back(smaller(size));
    if (const auto l = larger(size, sizes_.back())) list.push_back(*l);
    return list;
  };
  std::vector<Division> all;
  for (int early : near(best_.divisions[s].early))
    for (int late : near(best_.divisions[s].late))
      if (const Division d{early, late}; d != best_.divisions[s] && allows(s, d)) all.push_back(d);
  return all;
}

// One larger division, where it gains most for its time. False if none helps.
bool DivisionSearch::add() {
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
bool DivisionSearch::move() {
  const auto count = static_cast<std::ptrdiff_t>(plan_.steps.size());
  for (std::ptrdiff_t s = 0; s < count; ++s) {
    const auto from = static_cast<std::size_t>(s);
    const auto [early, late] = best_.divisions[from];
    if (late == 0 || !allows(from, {early, smaller(late)})) continue;
    for (std::ptrdiff_t at : {s - 1, s + 1, s - 2, s + 2}) {
      if (at < 0 || at >= count) continue;
      for (const Division& d : more(static_cast<std::size_t>(at))) {
        std::optional<Choice> tried = changed({{from, {early, smaller(late)}}, {static_cast<std::size_t>(at), d}});
        if (!tried || !(std::log(best_.variance() / tried->variance()) >= kLeastGain)) continue;
        best_ = std::move(*tried);
        return true;
      }
    }
  }
  return false;
}

DivisionSearch::Alternatives DivisionSearch::alternatives() {
  Alternatives all(plan_.steps.size());
  for (std::size_t s = 0; s < plan_.steps.size(); ++s)
    for (const Division& d : around(s)) {
      const std::optional<Choice> tried = changed({{s, d}});
      if (tried && tried->variance() <= kHopeless * wanted_.at_most)
        all[s].push_back({d, ratios(tried->scales, best_.scales)});
    }
  return all;
}

// The fastest divisions on a random walk through the alternatives (simulated annealing), if they save time: as levels
// are as low as what follows needs, a division changes all levels before it, so that only several changes at a time
// lead far. Of what they do to the variance of a step, the logarithms are taken to add up, which holds the better the
// fewer they are. most_changes: of steps; share: what of the variance wanted may be used.
std::optional<std::vector<Division>> DivisionSearch::walk(const Alternatives& alternatives, std::size_t most_changes,
                                                          double share) {
  std::vector<std::size_t> free;  // steps with alternatives
  for (std::size_t s = 0; s < alternatives.size(); ++s)
    if (!alternatives[s].empty()) free.push_back(s);
  if (free.empty()) return std::nullopt;
  std::mt19937_64 random(1);  // NOLINT(cert-msc51-cpp): plans are to be the same every time
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  const std::size_t none = SIZE_MAX;
  std::vector<std::size_t> picks(alternatives.size(), none);  // by step
  const auto total = [&](const std::vector<std::size_t>& of) {
    std::vector<double> logs(alternatives.size());
    for (std::size_t s : free)
      if (of[s] != none) std::ranges::transform(logs, alternatives[s][of[s]].ratios, logs.begin(), std::plus{});
    double sum = 0;
    for (std::size_t s = 0; s < logs.size(); ++s) sum += best_.scales.variance[s] * std::exp(logs[s]);
    return sum;
  };
  double seconds = best_.seconds, variance = best_.variance(), least = best_.seconds * (1 - kLeastSaved);
  std::optional<std::vector<Division>> fastest;
  for (int k = 0; k < kWalkSteps; ++k) {
    std::vector<std::size_t> next = picks;
    for (std::size_t many = 1 + below(2); many > 0; --many) {
      const std::size_t s = free[below(free.size())], pick = below(alternatives[s].size() + 1);
      next[s] = pick == alternatives[s].size() ? none : pick;
    }
    if (next.size() - static_cast<std::size_t>(std::ranges::count(next, none)) > most_changes) continue;
    const double now_variance = total(next);
    if (now_variance > share * wanted_.at_most && now_variance > variance) continue;
    std::vector<Division> divisions = best_.divisions;
    for (std::size_t s : free)
      if (next[s] != none) divisions[s] = alternatives[s][next[s]].division;
    if (!apply(divisions)) continue;
    const double now = seconds_of_plan();
    const double loss = kFirstLoss * std::pow(kLastLoss / kFirstLoss, static_cast<double>(k) / kWalkSteps);
    const double chance = static_cast<double>(random() >> 11) * 0x1p-53;
    if (now > seconds && chance >= std::exp((seconds - now) / (loss * best_.seconds))) continue;
    picks = std::move(next);
    seconds = now;
    variance = now_variance;
    if (now < least && variance <= share * most_variance(now)) {
      least = now;
      fastest = std::move(divisions);
    }
  }
  return fastest;
}

// Other divisions that leave the scores exact enough and save time. False if none are found.
bool DivisionSearch::spare() {
  const Alternatives all = alternatives();
  double share = 1;
  for (std::size_t most_changes : kMostChanges) {
    if (most_changes != kAll) share = kOfFew;
    std::optional<std::vector<Division>> found = walk(all, most_changes, share);
    if (!found) continue;
    check(apply(*found), "levels that were assigned before");
    Choice tried = evaluate(std::move(*found));
    if (enough(tried)) {
      best_ = std::move(tried);
      return true;
    }
    share *= kNarrower * std::min(1.0, most_variance(tried.seconds) / tried.variance());
  }
  return false;
}

}  // namespace sotto::compiler
