#include "compiler/place.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>

#include "ckks/security.h"
#include "compiler/key_tiers.h"
#include "plan/level_costs.h"
#include "plan/switch_work.h"

namespace sotto::compiler {

namespace {

// Part of the whole time that an extra prime for a product is worth.
constexpr double kPreciseWorth = 0.045;

// Consecutive steps between two bootstraps.
struct Segment {
  std::vector<int> limbs;     // by step
  std::vector<int> precise;   // products with an extra prime
  std::vector<int> entering;  // squares that are bootstrapped, and divided by one more prime for it
  int start = 0;              // limbs that a tensor alive at the beginning needs
};

// Steps of a packed plan with the tensors that they read and write.
class Graph {
 public:
  explicit Graph(const plan::Plan& packed) : plan_(packed), last_use_(packed.tensors.size(), -1) {
    for (int s = 0; s < count(); ++s)
      for (const plan::Term& t : step(s).terms) last_use_[static_cast<std::size_t>(t.source)] = s;
    can_cut_.assign(packed.steps.size(), true);
    for (int s = 0; s < count(); ++s)
      for (int k = s; step(s).keep && k < last_use_[static_cast<std::size_t>(step(s).output)]; ++k)
        can_cut_[static_cast<std::size_t>(k)] = false;
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
  // Whether what is alive after step s can be bootstrapped: sums that wait to be multiplied cannot.
  [[nodiscard]] bool can_cut(int s) const { return can_cut_[static_cast<std::size_t>(s)]; }
  [[nodiscard]] int ciphertexts(const std::vector<int>& tensors) const {
    int sum = 0;
    for (int t : tensors) sum += tensor(t).layout.ciphertexts();
    return sum;
  }

  // Steps (first, last] with what is alive at the end at `end` limbs, an extra prime for the last `precise` products
  // that have none. A square whose sum alone is divided has twice its bits, too many for what is bootstrapped.
  [[nodiscard]] Segment segment(int first, int last, int end, int precise) const {
    std::vector<int> needed(plan_.tensors.size(), 0);
    Segment out;
    if (last + 1 < count())
      for (int t : alive(last)) needed[static_cast<std::size_t>(t)] = end;
    else
      needed[static_cast<std::size_t>(step(last).output)] = plan_.output().level.limbs;
    for (int s = last; s > first; --s) {
      int at = std::max(needed[static_cast<std::size_t>(step(s).output)], 1) + plan::units_taken(step(s));
      const bool bootstrapped = last + 1 < count() && last_use_[static_cast<std::size_t>(step(s).output)] > last;
      if (step(s).kind == plan::Kind::multiply && step(s).late == 1 && precise > 0) {
        out.precise.push_back(s);
        --precise;
        ++at;
      } else if (step(s).kind == plan::Kind::square && step(s).late == 0 && bootstrapped) {
        out.entering.push_back(s);
        ++at;
      }
      out.limbs.push_back(at);
      for (const plan::Term& t : step(s).terms) {
        int& source = needed[static_cast<std::size_t>(t.source)];
        source = std::max(source, at);
      }
    }
    for (int t : alive(first)) out.start = std::max(out.start, needed[static_cast<std::size_t>(t)]);
    std::reverse(out.limbs.begin(), out.limbs.end());
    return out;
  }
  // The segment with as many precise products as `most` limbs at its beginning allow.
  [[nodiscard]] Segment precise_segment(int first, int last, int end, int most) const {
    Segment best = segment(first, last, end, 0);
    for (int precise = 1; best.start < most; ++precise) {
      Segment more = segment(first, last, end, precise);
      if (more.start > most || more.precise.size() == best.precise.size()) break;
      best = std::move(more);
    }
    return best;
  }

 private:
  const plan::Plan& plan_;
  std::vector<int> last_use_;
  std::vector<bool> can_cut_;  // by step
};

// Special primes of a level, with those of the highest one at most: more of them, for levels between, would be faster,
// but the more limbs that raising then pays for take more memory.
int special_of_level(int limbs, int most) { return std::min(most, std::max(2, special_primes(limbs, most))); }

// Predicted seconds of the steps, by the special primes of the highest level.
class StepSeconds {
 public:
  explicit StepSeconds(const plan::Plan& packed) : costs_(packed), steps_(packed.steps.size()) {}

  [[nodiscard]] double at(int step, int limbs, int special) {
    std::vector<double>& all = seconds_[special];
    all.resize(steps_ * kMostLimbs, -1);
    double& seconds = all[static_cast<std::size_t>(step * kMostLimbs + limbs)];
    if (seconds < 0)
      seconds =
          costs_.at(step, limbs, [&](int l) { return special_of_level(l, special); }).seconds(plan::kTypicalSpeed);
    return seconds;
  }

 private:
  static constexpr int kMostLimbs = 64;
  plan::LevelCosts costs_;
  std::size_t steps_;
  std::map<int, std::vector<double>> seconds_;  // [step][limbs]
};

// Shortest path over cuts for one circuit.
class Search {
 public:
  // worth: seconds that a precise product may cost.
  Search(const Graph& graph, StepSeconds& step_seconds, const bootstrap::BootstrapSpec& spec, int limbs, int special,
         double worth)
      : graph_(graph),
        step_seconds_(step_seconds),
        worth_(worth),
        bootstraps_(ckks::has_bootstrapping(kLogN, graph.plan().parameters.security)) {
    best_.bootstrapping = spec;
    best_.limbs = limbs;
    best_.special = special;
    bootstrap_seconds_ = plan::bootstrap_work(spec, kLogN, plan::kBootstrappedTogether, [&](int l) {
                           return special_of_level(l, special);
                         }).seconds(plan::kTypicalSpeed);
  }

  [[nodiscard]] Placement run() {
    // behind[c + 1]: the best way from cut c (after step c; -1: the beginning) to the end.
    struct Way {
      double seconds = HUGE_VAL;
      int next = 0;
      std::vector<int> precise, entering;
    };
    const int count = graph_.count();
    std::vector<Way> behind(static_cast<std::size_t>(count) + 1);
    behind.back().seconds = 0;
    for (int c = count - 2; c >= -1; --c) {
      Way& way = behind[static_cast<std::size_t>(c + 1)];
      const int most = c < 0 ? best_.limbs : best_.bootstrapping.output_limbs();
      for (int e = c + 1; e < count; ++e) {
        const double rest = behind[static_cast<std::size_t>(e + 1)].seconds;
        if (rest == HUGE_VAL || (e < count - 1 && !(bootstraps_ && graph_.can_cut(e)))) continue;
        Segment plain = graph_.segment(c, e, best_.bootstrapping.input_limbs(), 0);
        if (plain.start > most) {  // longer segments need no fewer, but for the last one, which ends with no cut
          e = std::max(e, count - 2);
          continue;
        }
        const double end = rest + (e < count - 1 ? graph_.ciphertexts(graph_.alive(e)) * bootstrap_seconds_ : 0);
        Segment precise = graph_.precise_segment(c, e, best_.bootstrapping.input_limbs(), most);
        for (Segment* s : {&plain, &precise}) {
          const double seconds = end + cost(c, *s);
          if (seconds < way.seconds) way = {seconds, e, s->precise, s->entering};
        }
      }
    }
    best_.seconds = behind.front().seconds;
    if (best_.seconds == HUGE_VAL) return best_;
    for (int c = -1; c < count - 1;) {
      const Way& way = behind[static_cast<std::size_t>(c + 1)];
      best_.precise.insert(best_.precise.end(), way.precise.begin(), way.precise.end());
      best_.precise.insert(best_.precise.end(), way.entering.begin(), way.entering.end());
      c = way.next;
      if (c < count - 1) best_.cuts.push_back(c);
    }
    return best_;
  }

 private:
  [[nodiscard]] double cost(int cut, const Segment& segment) {
    double seconds = -worth_ * static_cast<double>(segment.precise.size());
    for (std::size_t k = 0; k < segment.limbs.size(); ++k)
      seconds += step_seconds_.at(cut + 1 + static_cast<int>(k), segment.limbs[k], best_.special);
    return seconds;
  }

  const Graph& graph_;
  StepSeconds& step_seconds_;
  Placement best_;
  double bootstrap_seconds_ = 0, worth_;
  bool bootstraps_;  // at this level of security
};

Placement best_placement(const Graph& graph, StepSeconds& step_seconds, double worth) {
  Placement best;
  best.seconds = HUGE_VAL;
  const int primes = most_primes(kLogN, graph.plan().parameters.security);
  for (int limbs = primes - 2; limbs > 1; --limbs) {
    const int special = special_primes(limbs, primes - limbs);
    if (special < 2) continue;
    // Fewer, larger matrices leave more levels and take more time.
    for (const auto& [entry, exit] : {std::pair{3, 4}, std::pair{2, 4}, std::pair{3, 3}, std::pair{2, 3}}) {
      const bootstrap::BootstrapSpec spec{
          .slots_to_coeffs_factors = entry, .coeffs_to_slots_factors = exit, .raised_limbs = limbs};
      if (spec.output_limbs() <= spec.input_limbs()) continue;
      Placement found = Search(graph, step_seconds, spec, limbs, special, worth).run();
      if (found.seconds < best.seconds) best = std::move(found);
    }
  }
  return best;
}

}  // namespace

std::optional<Placement> place(const plan::Plan& packed) {
  const Graph graph(packed);
  StepSeconds step_seconds(packed);
  const Placement fastest = best_placement(graph, step_seconds, 0);
  if (fastest.seconds == HUGE_VAL) return std::nullopt;
  return best_placement(graph, step_seconds, kPreciseWorth * fastest.seconds);
}

plan::Plan insert_bootstraps(plan::Plan packed, const Placement& placement) {
  for (int s : placement.precise) ++packed.steps[static_cast<std::size_t>(s)].late;
  const Graph graph(packed);
  plan::Plan out = packed;
  out.steps.clear();
  out.bootstrapping = placement.cuts.empty() ? std::nullopt : std::optional(placement.bootstrapping);
  std::vector<int> now(packed.tensors.size());  // which tensor of `out` stands for a tensor
  for (std::size_t t = 0; t < now.size(); ++t) now[t] = static_cast<int>(t);
  std::vector<int> cuts = placement.cuts;
  cuts.push_back(graph.count() - 1);
  int first = -1;
  for (int cut : cuts) {
    const Segment segment = graph.segment(first, cut, placement.bootstrapping.input_limbs(), 0);
    for (int t : graph.alive(first))
      out.tensors[static_cast<std::size_t>(now[static_cast<std::size_t>(t)])].level = segment.start;
    for (int s = first + 1; s <= cut; ++s) {
      plan::Step step = packed.steps[static_cast<std::size_t>(s)];
      step.level = segment.limbs[static_cast<std::size_t>(s - first - 1)];
      out.tensors[static_cast<std::size_t>(step.output)].level = step.level.limbs - plan::units_taken(step);
      for (plan::Term& t : step.terms) t.source = now[static_cast<std::size_t>(t.source)];
      out.steps.push_back(std::move(step));
    }
    first = cut;
    if (cut + 1 == graph.count()) break;
    for (int t : graph.alive(cut)) {
      const plan::Tensor& old = packed.tensors[static_cast<std::size_t>(t)];
      const int id = static_cast<int>(out.tensors.size());
      plan::Step step;
      static_cast<circuit::Op&>(step) = circuit::copy_op(
          old.name + " bootstrap", id, {now[static_cast<std::size_t>(t)]}, circuit::Op::Kind::bootstrap);
      step.level = placement.bootstrapping.input_limbs();
      step.late = 0;
      out.tensors.push_back({old.name + " bootstrapped", old.layout, 0, 1});
      out.steps.push_back(std::move(step));
      now[static_cast<std::size_t>(t)] = id;
    }
  }
  return out;
}

}  // namespace sotto::compiler
