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
// Part of the whole time that an extra prime for a square or product is worth.
constexpr double kPreciseWorth = 0.045;

// What a step costs at any level: its parts that grow with the limbs.
struct StepCost {
  double key_switches = 0, seconds_per_limb = 0;
};

// Consecutive steps between two bootstraps.
struct Segment {
  std::vector<int> limbs;    // by step
  std::vector<int> precise;  // steps with an extra prime
  int start = 0;             // limbs that a tensor alive at the beginning needs
};

// Steps of a packed plan with the tensors that they read and write.
class Graph {
 public:
  // measured: with the costs of steps.
  Graph(const plan::Plan& packed, bool measured) : plan_(packed), last_use_(packed.tensors.size(), -1) {
    for (int s = 0; s < count(); ++s)
      for (const plan::Term& t : step(s).terms) last_use_[static_cast<std::size_t>(t.source)] = s;
    can_cut_.assign(packed.steps.size(), true);
    for (int s = 0; s < count(); ++s)
      for (int k = s; step(s).keep && k < last_use_[static_cast<std::size_t>(step(s).output)]; ++k)
        can_cut_[static_cast<std::size_t>(k)] = false;
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
  // Whether what is alive after step s can be bootstrapped: sums that wait to be multiplied cannot.
  [[nodiscard]] bool can_cut(int s) const { return can_cut_[static_cast<std::size_t>(s)]; }
  [[nodiscard]] int ciphertexts(const std::vector<int>& tensors) const {
    int sum = 0;
    for (int t : tensors) sum += tensor(t).layout.ciphertexts();
    return sum;
  }

  // Steps (first, last] with what is alive at the end at `end` limbs, an extra prime for the last `precise` squares or
  // products that have none.
  [[nodiscard]] Segment segment(int first, int last, int end, int precise) const {
    std::vector<int> needed(plan_.tensors.size(), 0);
    Segment out;
    if (last + 1 < count())
      for (int t : alive(last)) needed[static_cast<std::size_t>(t)] = end;
    for (int s = last; s > first; --s) {
      int at = std::max(needed[static_cast<std::size_t>(step(s).output)], 1) + plan::levels_taken(plan_, step(s));
      const bool multiplies = step(s).kind == plan::Kind::square || step(s).kind == plan::Kind::multiply;
      if (multiplies && step(s).extra_primes == 0 && precise > 0) {
        out.precise.push_back(s);
        --precise;
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
  // The segment with as many precise squares and products as `most` limbs at its beginning allow.
  [[nodiscard]] Segment precise_segment(int first, int last, int end, int most) const {
    Segment best = segment(first, last, end, 0);
    for (int precise = 1; best.start < most; ++precise) {
      Segment more = segment(first, last, end, precise);
      if (more.start > most || more.precise.size() == best.precise.size()) break;
      best = std::move(more);
    }
    return best;
  }

  [[nodiscard]] double seconds(int s, int at_limbs, int special) const {
    const StepCost& c = costs_[static_cast<std::size_t>(s)];
    const auto of_tier = [&](int limbs) { return std::min(special, special_primes(limbs, special)); };
    const plan::Step& st = step(s);
    plan::Work work;
    if (st.kind == plan::Kind::activate) {
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
      if (step(s).kind != plan::Kind::activate) {
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
  std::vector<bool> can_cut_;  // by step
  std::vector<StepCost> costs_;
};

// Shortest path over cuts for one circuit.
class Search {
 public:
  // worth: seconds that a precise square or product may cost.
  Search(const Graph& graph, const bootstrap::BootstrapSpec& spec, int limbs, int special, double worth)
      : graph_(graph), worth_(worth) {
    best_.bootstrapping = spec;
    best_.limbs = limbs;
    best_.special = special;
    const auto of_tier = [&](int l) { return std::min(special, std::max(2, special_primes(l, special))); };
    bootstrap_seconds_ =
        plan::bootstrap_work(spec, kLogN, plan::kBootstrappedTogether, of_tier).seconds(plan::kTypicalSpeed);
  }

  [[nodiscard]] Placement run() {
    // behind[c + 1]: the best way from cut c (after step c; -1: the beginning) to the end.
    struct Way {
      double seconds = HUGE_VAL;
      int next = 0;
      std::vector<int> precise;
    };
    const int count = graph_.count();
    std::vector<Way> behind(static_cast<std::size_t>(count) + 1);
    behind.back().seconds = 0;
    for (int c = count - 2; c >= -1; --c) {
      Way& way = behind[static_cast<std::size_t>(c + 1)];
      const int most = c < 0 ? best_.limbs : best_.bootstrapping.output_limbs();
      for (int e = c + 1; e < count; ++e) {
        const double rest = behind[static_cast<std::size_t>(e + 1)].seconds;
        if (rest == HUGE_VAL || (e < count - 1 && !graph_.can_cut(e))) continue;
        Segment plain = graph_.segment(c, e, best_.bootstrapping.input_limbs(), 0);
        if (plain.start > most) {  // longer segments need no fewer, but for the last one, which ends with no cut
          e = std::max(e, count - 2);
          continue;
        }
        const double end = rest + (e < count - 1 ? graph_.ciphertexts(graph_.alive(e)) * bootstrap_seconds_ : 0);
        Segment precise = graph_.precise_segment(c, e, best_.bootstrapping.input_limbs(), most);
        for (Segment* s : {&plain, &precise}) {
          const double seconds = end + cost(c, *s);
          if (seconds < way.seconds) way = {seconds, e, s->precise};
        }
      }
    }
    best_.seconds = behind.front().seconds;
    if (best_.seconds == HUGE_VAL) return best_;
    for (int c = -1; c < count - 1;) {
      const Way& way = behind[static_cast<std::size_t>(c + 1)];
      best_.precise.insert(best_.precise.end(), way.precise.begin(), way.precise.end());
      c = way.next;
      if (c < count - 1) best_.cuts.push_back(c);
    }
    return best_;
  }

 private:
  [[nodiscard]] double cost(int cut, const Segment& segment) const {
    double seconds = -worth_ * static_cast<double>(segment.precise.size());
    for (std::size_t k = 0; k < segment.limbs.size(); ++k)
      seconds += graph_.seconds(cut + 1 + static_cast<int>(k), segment.limbs[k], best_.special);
    return seconds;
  }

  const Graph& graph_;
  Placement best_;
  double bootstrap_seconds_ = 0, worth_;
};

int most_primes() {
  return static_cast<int>(ckks::find_security_row(kLogN, ckks::SecretDistribution::ternary)->max_log2_qp / kPrimeBits);
}

Placement best_placement(const Graph& graph, double worth) {
  Placement best;
  best.seconds = HUGE_VAL;
  for (int limbs = most_primes() - 2; limbs > 1; --limbs) {
    const int special = special_primes(limbs, most_primes() - limbs);
    if (special < 2) continue;
    // Fewer, larger matrices leave more levels and take more time.
    for (const auto& [entry, exit] : {std::pair{3, 4}, std::pair{2, 4}, std::pair{3, 3}, std::pair{2, 3}}) {
      const bootstrap::BootstrapSpec spec{
          .slots_to_coeffs_factors = entry, .coeffs_to_slots_factors = exit, .raised_limbs = limbs};
      if (spec.output_limbs() <= spec.input_limbs()) continue;
      Placement found = Search(graph, spec, limbs, special, worth).run();
      if (found.seconds < best.seconds) best = std::move(found);
    }
  }
  return best;
}

}  // namespace

Placement place(const plan::Plan& packed) {
  const Graph graph(packed, true);
  const Placement fastest = best_placement(graph, 0);
  if (fastest.seconds == HUGE_VAL)
    throw Error(
        ErrorCode::no_resources,
        "a layer of this network needs more levels than bootstrapping leaves at 128-bit security; allow a larger "
        "error of its activations",
        Setting::function_error);
  return best_placement(graph, kPreciseWorth * fastest.seconds);
}

plan::Plan insert_bootstraps(plan::Plan packed, const Placement& placement) {
  for (int s : placement.precise) packed.steps[static_cast<std::size_t>(s)].extra_primes = 1;
  const Graph graph(packed, false);
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
      out.tensors[static_cast<std::size_t>(now[static_cast<std::size_t>(t)])].limbs = segment.start;
    for (int s = first + 1; s <= cut; ++s) {
      plan::Step step = packed.steps[static_cast<std::size_t>(s)];
      step.limbs = segment.limbs[static_cast<std::size_t>(s - first - 1)];
      out.tensors[static_cast<std::size_t>(step.output)].limbs = step.limbs - plan::levels_taken(packed, step);
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
      step.limbs = placement.bootstrapping.input_limbs();
      out.tensors.push_back({old.name + " bootstrapped", old.layout, 0, 1});
      out.steps.push_back(std::move(step));
      now[static_cast<std::size_t>(t)] = id;
    }
  }
  return out;
}

}  // namespace sotto::compiler
