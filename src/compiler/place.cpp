#include "compiler/place.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>

#include "base/error.h"
#include "ckks/security.h"
#include "compiler/key_tiers.h"
#include "plan/cost.h"
#include "plan/schedule.h"
#include "plan/switch_work.h"

namespace sotto::compiler {

namespace {

constexpr int kLogN = 16, kPrimeBits = 48;

// What a step costs at any level: its parts that grow with the limbs.
struct StepCost {
  double key_switches = 0, seconds_per_limb = 0;
};

// Steps of a lowered plan with the tensors that they read and write.
class Graph {
 public:
  // measured: with the costs of steps.
  Graph(const plan::Plan& lowered, bool measured) : plan_(lowered), last_use_(lowered.tensors.size(), -1) {
    for (int s = 0; s < count(); ++s)
      for (const plan::Term& t : step(s).terms) last_use_[static_cast<std::size_t>(t.source)] = s;
    if (measured) measure();
  }

  [[nodiscard]] int count() const { return static_cast<int>(plan_.steps.size()); }
  [[nodiscard]] const plan::Step& step(int s) const { return plan_.steps[static_cast<std::size_t>(s)]; }
  [[nodiscard]] const plan::Tensor& tensor(int t) const { return plan_.tensors[static_cast<std::size_t>(t)]; }
  [[nodiscard]] const plan::Plan& plan() const { return plan_; }

  // Tensors that exist after step s and are read later; s = -1: the input.
  [[nodiscard]] std::vector<int> alive(int s) const {
    std::vector<int> list;
    if (last_use_[0] > s) list.push_back(0);
    for (int k = 0; k <= s; ++k)
      if (last_use_[static_cast<std::size_t>(step(k).output)] > s) list.push_back(step(k).output);
    return list;
  }
  [[nodiscard]] int ciphertexts(const std::vector<int>& tensors) const {
    int sum = 0;
    for (int t : tensors) sum += tensor(t).layout.ciphertexts();
    return sum;
  }

  // Limbs at which the steps (first, last] run if what is alive at the end has `end` limbs, by step; and in `start` the
  // most that one of the tensors alive at the beginning needs.
  [[nodiscard]] std::vector<int> limbs(int first, int last, int end, int& start) const {
    std::vector<int> needed(plan_.tensors.size(), 0), result;
    if (last + 1 < count())
      for (int t : alive(last)) needed[static_cast<std::size_t>(t)] = end;
    for (int s = last; s > first; --s) {
      int& output = needed[static_cast<std::size_t>(step(s).output)];
      const int at = std::max(output, 1) + plan::levels_taken(plan_, step(s));
      result.push_back(at);
      for (const plan::Term& t : step(s).terms) {
        int& source = needed[static_cast<std::size_t>(t.source)];
        source = std::max(source, at);
      }
    }
    start = 0;
    for (int t : alive(first)) start = std::max(start, needed[static_cast<std::size_t>(t)]);
    std::reverse(result.begin(), result.end());
    return result;
  }

  [[nodiscard]] double seconds(int s, int at_limbs, int special) const {
    const StepCost& c = costs_[static_cast<std::size_t>(s)];
    const auto of_tier = [&](int limbs) { return std::min(special, special_primes(limbs, special)); };
    const plan::Step& st = step(s);
    plan::Work work;
    if (st.finish == plan::Step::Finish::activate) {
      plan::Step at = st;
      at.limbs = at_limbs;
      work = plan::activation_work(plan_, at, of_tier) * tensor(st.output).layout.ciphertexts();
    } else {
      const double n = std::ldexp(1.0, kLogN);
      work = plan::SwitchWork{n, at_limbs, of_tier(at_limbs)}.rotations(1) * c.key_switches;
    }
    return work.seconds(plan::kTypicalSpeed) + c.seconds_per_limb * at_limbs;
  }

 private:
  // Key switches and products of every step, counted on a copy that keeps all levels at two limbs.
  void measure() {
    plan::Plan flat = plan_;
    constexpr int limbs = 2;
    flat.parameters = {kLogN, ring::RingKind::conjugate_invariant, limbs, limbs, kPrimeBits};
    flat.batch = (1 << kLogN) / flat.period();
    for (plan::Tensor& t : flat.tensors) t.limbs = limbs;
    flat.keys.tiers = {{limbs, limbs}};
    std::vector<int> index;  // of the steps that are counted
    std::vector<plan::Step> steps;
    for (int s = 0; s < count(); ++s) {
      flat.steps[static_cast<std::size_t>(s)].limbs = limbs;
      if (!step(s).slotwise()) {
        index.push_back(s);
        steps.push_back(flat.steps[static_cast<std::size_t>(s)]);
      }
    }
    flat.steps = std::move(steps);
    const plan::Cost cost = plan::estimate(flat);
    costs_.resize(plan_.steps.size());
    for (std::size_t k = 0; k < index.size(); ++k) {
      StepCost& c = costs_[static_cast<std::size_t>(index[k])];
      c.key_switches = static_cast<double>(cost.steps[k].key_switches);
      c.seconds_per_limb = cost.steps[k].linear.seconds(plan::kTypicalSpeed) / limbs;
    }
  }

  const plan::Plan& plan_;
  std::vector<int> last_use_;
  std::vector<StepCost> costs_;
};

// Shortest path over cuts for one circuit.
class Search {
 public:
  Search(const Graph& graph, const bootstrap::RefreshSpec& spec, int limbs, int special)
      : graph_(graph), spec_(spec), limbs_(limbs), special_(special) {
    const auto of_tier = [&](int l) { return std::min(special, std::max(2, special_primes(l, special))); };
    refresh_seconds_ =
        plan::refresh_work(spec, kLogN, plan::kRefreshedTogether, of_tier).seconds(plan::kTypicalSpeed);
  }

  // best[c]: the least cost of all steps behind cut c (after step c; -1: the beginning).
  [[nodiscard]] Placement run() {
    const int count = graph_.count();
    std::vector<double> best(static_cast<std::size_t>(count) + 1, HUGE_VAL);
    std::vector<int> next(static_cast<std::size_t>(count) + 1, count - 1);
    const auto at = [](int cut) { return static_cast<std::size_t>(cut + 1); };
    best[at(count - 1)] = 0;
    for (int c = count - 2; c >= -1; --c) {
      const int most = c < 0 ? limbs_ : spec_.output_limbs();
      for (int e = c + 1; e < count; ++e) {
        if (best[at(e)] == HUGE_VAL) continue;
        int start = 0;
        const std::vector<int> limbs = graph_.limbs(c, e, spec_.input_limbs(), start);
        if (start > most) break;  // longer segments need no fewer
        double seconds = best[at(e)];
        for (int s = c + 1; s <= e; ++s) seconds += graph_.seconds(s, limbs[static_cast<std::size_t>(s - c - 1)], special_);
        if (e < count - 1) seconds += graph_.ciphertexts(graph_.alive(e)) * refresh_seconds_;
        if (seconds < best[at(c)]) {
          best[at(c)] = seconds;
          next[at(c)] = e;
        }
      }
    }
    Placement p;
    p.refresh = spec_;
    p.limbs = limbs_;
    p.special = special_;
    p.seconds = best[at(-1)];
    if (p.seconds < HUGE_VAL)
      for (int c = next[at(-1)]; c < count - 1; c = next[at(c)]) p.cuts.push_back(c);
    return p;
  }

 private:
  const Graph& graph_;
  bootstrap::RefreshSpec spec_;
  int limbs_, special_;
  double refresh_seconds_ = 0;
};

int most_primes() {
  return static_cast<int>(ckks::find_security_row(kLogN, ckks::SecretDistribution::ternary)->max_log2_qp / kPrimeBits);
}

}  // namespace

Placement place(const plan::Plan& lowered) {
  const Graph graph(lowered, true);
  Placement best;
  best.seconds = HUGE_VAL;
  for (int limbs = most_primes() - 2; limbs > 1; --limbs) {
    const int special = special_primes(limbs, most_primes() - limbs);
    if (special < 2) continue;
    // Fewer, larger matrices leave more levels and take more time.
    for (const auto& [entry, exit] : {std::pair{3, 4}, std::pair{2, 4}, std::pair{3, 3}, std::pair{2, 3}}) {
      bootstrap::RefreshSpec spec{.entry_factors = entry, .exit_factors = exit, .raised_limbs = limbs};
      if (spec.output_limbs() <= spec.input_limbs()) continue;
      const Placement found = Search(graph, spec, limbs, special).run();
      if (found.seconds < best.seconds) best = found;
    }
  }
  if (best.seconds == HUGE_VAL)
    throw Error(ErrorCode::no_resources,
                "a layer of this network needs more levels than bootstrapping leaves at 128-bit security; allow a larger "
                "error of its activations (--relu-error)");
  return best;
}

void use_spare_levels(const plan::Plan& lowered, Placement& placement) {
  plan::Plan precise = lowered;
  std::vector<int> cuts = placement.cuts;
  cuts.push_back(static_cast<int>(lowered.steps.size()) - 1);
  int first = -1;
  for (int cut : cuts) {
    const int most = first < 0 ? placement.limbs : placement.refresh.output_limbs();
    // From the end, where levels cost least.
    for (int s = cut; s > first; --s) {
      plan::Step& step = precise.steps[static_cast<std::size_t>(s)];
      if (step.finish != plan::Step::Finish::square) continue;
      step.extra_primes = 1;
      int start = 0;
      static_cast<void>(Graph(precise, false).limbs(first, cut, placement.refresh.input_limbs(), start));
      if (start > most)
        step.extra_primes = 0;
      else
        placement.precise.push_back(s);
    }
    first = cut;
  }
}

plan::Plan insert_refreshes(plan::Plan lowered, const Placement& placement) {
  for (int s : placement.precise) lowered.steps[static_cast<std::size_t>(s)].extra_primes = 1;
  const Graph graph(lowered, false);
  plan::Plan out = lowered;
  out.steps.clear();
  out.refresh = placement.cuts.empty() ? std::nullopt : std::optional(placement.refresh);
  std::vector<int> now(lowered.tensors.size());  // which tensor of `out` stands for a tensor
  for (std::size_t t = 0; t < now.size(); ++t) now[t] = static_cast<int>(t);
  std::vector<int> cuts = placement.cuts;
  cuts.push_back(graph.count() - 1);
  int first = -1;
  for (int cut : cuts) {
    int start = 0;
    const std::vector<int> limbs = graph.limbs(first, cut, placement.refresh.input_limbs(), start);
    for (int t : graph.alive(first)) out.tensors[static_cast<std::size_t>(now[static_cast<std::size_t>(t)])].limbs = start;
    for (int s = first + 1; s <= cut; ++s) {
      plan::Step step = lowered.steps[static_cast<std::size_t>(s)];
      step.limbs = limbs[static_cast<std::size_t>(s - first - 1)];
      out.tensors[static_cast<std::size_t>(step.output)].limbs = step.limbs - plan::levels_taken(lowered, step);
      for (plan::Term& t : step.terms) t.source = now[static_cast<std::size_t>(t.source)];
      out.steps.push_back(std::move(step));
    }
    if (cut + 1 < graph.count()) {
      for (int t : graph.alive(cut)) {
        const plan::Tensor& old = lowered.tensors[static_cast<std::size_t>(t)];
        const int id = static_cast<int>(out.tensors.size());
        out.tensors.push_back({old.name + " refreshed", old.layout, 0, 1});
        plan::Step step = plan::copy_step(old.name + " refresh", id, now[static_cast<std::size_t>(t)],
                                          plan::Step::Finish::refresh);
        step.limbs = placement.refresh.input_limbs();
        out.steps.push_back(std::move(step));
        now[static_cast<std::size_t>(t)] = id;
      }
    }
    first = cut;
  }
  return out;
}

}  // namespace sotto::compiler
