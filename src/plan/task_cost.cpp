#include "plan/task_cost.h"

#include <algorithm>
#include <cmath>

#include "plan/in_flight.h"
#include "plan/products.h"
#include "plan/switch_work.h"

namespace sotto::plan {

namespace {

// Words of a weight without a mask against those of one with: no transform, one value for all runs.
constexpr double kConstantWeight = 0.2;
// A word of a matrix of weights costs more than its transform: rounding together, writing to memory and reading back
// (measured).
constexpr double kMatrixWeight = 4;
// A product of fewer rows takes as long as one of so many: its time goes into reading the sources (measured, ADR 0026).
constexpr int kLeastRows = 3;

// The products of a task with its sources.
Work linear_work(const Plan& plan, const Task& task) {
  const Step& step = plan.steps[static_cast<std::size_t>(task.step)];
  const double n = std::ldexp(1.0, plan.parameters.log_n), limbs = step.limbs;
  const double rows = plan.tensors[static_cast<std::size_t>(step.output)].layout.blocks();
  const auto period = static_cast<double>(step_period(plan, step));
  Work work;
  if (plan.group() == 1) {
    for (const Product& p : products_of(plan, task)) {
      double columns = 0, masked = p.first ? 1 : 0;
      for (const Product::Columns& c : p.columns) {
        columns += c.count;
        masked += task.taps[static_cast<std::size_t>(c.tap)].mask.empty() ? kConstantWeight * c.count : c.count;
      }
      work.layer_macs += 2 * columns * std::max(p.rows, kLeastRows) * limbs * n;
      work.weights += kMatrixWeight * masked * p.rows * period * limbs;
    }
    return work;
  }
  const auto products = static_cast<double>(task.products);
  work.weights = products * period * limbs;
  work.embedded_words = products * period * std::log2(period);
  work.words = (products + 2.0 * (task.last_giant - task.first_giant) * rows) * limbs * n;
  return work;
}

// Memory for the weights of a task: as integers, and as residues of the limb at work on each thread.
std::uint64_t weight_bytes(const Plan& plan, const Task& task, int threads) {
  const Step& step = plan.steps[static_cast<std::size_t>(task.step)];
  const auto at_work = static_cast<std::size_t>(std::clamp(threads, 1, step.limbs));
  if (plan.group() > 1) {
    std::size_t columns = 1;
    for (const Tap& tap : task.taps)
      columns += static_cast<std::size_t>(plan.tensors[static_cast<std::size_t>(tap.source.tensor)].layout.blocks());
    return (columns + 8 * at_work) * step_period(plan, step) * 8;
  }
  std::size_t weights = 0;
  for (const Product& p : products_of(plan, task))
    weights += static_cast<std::size_t>(p.rows) * (p.width() + (p.first ? 1 : 0));
  return step_period(plan, step) * weights * 8 * (at_work + 1);
}

// Division of both polynomials by the last prime.
Work rescaling(int limbs, double n) { return Work{static_cast<double>(limbs), 0, limbs * n, limbs * n} * 2; }

// Reading the keys that a task needs and no earlier one has read.
Work reading(const Plan& plan, const Task& task, std::set<ckks::KeyId>& read) {
  Work work;
  for (const ckks::KeyId& id : keys_of(plan, task)) {
    const ckks::KeyTier& t = plan.keys.tiers[static_cast<std::size_t>(id.tier)];
    if (read.insert(id).second)
      work.key_bytes += 2.0 * ckks::key_digits(t, id.galois_element) * (t.max_limbs + t.special) *
                        std::ldexp(static_cast<double>(simd::kPackedBytes), plan.parameters.log_n);
  }
  return work;
}

}  // namespace

Work TaskWork::total() const {
  Work sum = rotate;
  sum += linear;
  return sum += activate;
}

std::uint64_t expanded_key_limbs(const Plan& plan, const ckks::KeyId& id) {
  const ckks::KeyTier& t = plan.keys.tiers[static_cast<std::size_t>(id.tier)];
  return 2ull * static_cast<std::uint64_t>(ckks::key_digits(t, id.galois_element) * (t.max_limbs + t.special));
}

namespace {

// The cost of a slotwise task.
TaskCost slotwise_cost(const Plan& plan, const Task& task, std::set<ckks::KeyId>& read, int threads) {
  const Step& step = plan.steps[static_cast<std::size_t>(task.step)];
  const int results = plan.tensors[static_cast<std::size_t>(step.output)].layout.blocks();
  const auto special = [&](int limbs) {
    return plan.keys.tiers[static_cast<std::size_t>(tier_of(plan, limbs))].special;
  };
  TaskCost cost;
  cost.work.step = task.step;
  cost.work.results = results;
  cost.work.rotate = reading(plan, task, read);
  int switches = 0;
  for (const auto& [s, times] : slotwise_switches(plan, step)) switches += times;
  cost.key_switches = static_cast<std::size_t>(switches) * static_cast<std::size_t>(results);
  const auto count = static_cast<std::uint64_t>(results), limbs = static_cast<std::uint64_t>(step.limbs);
  const SwitchWork top{0, step.limbs, special(step.limbs)};
  if (step.kind == Kind::activate) {
    cost.work.activate = activation_work(plan, step, special) * results;
    const auto at_once = static_cast<std::uint64_t>(std::min(in_flight(step.limbs, threads), results));
    // Beside scratch, powers of the argument.
    cost.word_limbs = 2 * count * limbs + at_once * (static_cast<std::uint64_t>(top.scratch_limbs()) + 40 * limbs);
  } else if (step.kind == Kind::multiply) {
    const double n = std::ldexp(1.0, plan.parameters.log_n);
    cost.work.activate = SwitchWork{n, step.limbs, special(step.limbs)}.square() * results;
    for (int k = 1; k < levels_taken(plan, step); ++k) cost.work.activate += rescaling(step.limbs - k, n) * results;
    const auto at_once = static_cast<std::uint64_t>(std::min(in_flight(step.limbs, threads), results));
    // Beside both operands, the parts of the product.
    cost.word_limbs = 4 * count * limbs + at_once * (static_cast<std::uint64_t>(top.scratch_limbs()) + 2 * limbs);
  } else {
    const int together = std::min(results, kBootstrappedTogether), log_n = plan.parameters.log_n;
    cost.work.activate = bootstrap_work(*plan.bootstrapping, log_n, together, special) * results;
    cost.word_limbs = 2 * count * static_cast<std::uint64_t>(plan.bootstrapping->output_limbs()) +
                      bootstrap_limbs(*plan.bootstrapping, log_n, together, special(plan.bootstrapping->raised_limbs));
  }
  return cost;
}

}  // namespace

TaskCost task_cost(const Plan& plan, const Task& task, const std::vector<LiveSet::Copies>& copies,
                   std::set<ckks::KeyId>& read, int threads) {
  const Step& step = plan.steps[static_cast<std::size_t>(task.step)];
  if (step.slotwise()) return slotwise_cost(plan, task, read, threads);
  const auto blocks = [&](int tensor) { return plan.tensors[static_cast<std::size_t>(tensor)].layout.blocks(); };
  const double n = std::ldexp(1.0, plan.parameters.log_n), results = blocks(step.output);
  const int tier = tier_of(plan, step.limbs);
  const SwitchWork sw{n, step.limbs, plan.keys.tiers[static_cast<std::size_t>(tier)].special};
  TaskCost cost;
  cost.work.step = task.step;
  cost.work.results = static_cast<int>(results);
  std::size_t most_copies = 0;
  for (const LiveSet::Copies& c : copies) {
    cost.work.rotate += sw.rotations(static_cast<int>(c.rotations.size())) * blocks(c.from.tensor);
    cost.key_switches += c.rotations.size() * static_cast<std::size_t>(blocks(c.from.tensor));
    cost.work.copied += blocks(c.from.tensor);
    most_copies = std::max(most_copies, c.rotations.size());
  }
  const int giants = task.last_giant - task.first_giant;
  cost.work.rotate += sw.rotations(1) * (giants * results);
  cost.work.rotate += reading(plan, task, read);
  cost.key_switches += static_cast<std::size_t>(giants * results);
  cost.work.linear = linear_work(plan, task);
  const bool sums = std::any_of(task.taps.begin(), task.taps.end(), [&](const Tap& tap) {
    return step.terms[static_cast<std::size_t>(tap.term)].kind == Term::Kind::full;
  });
  for (bool rotated : {sums, step.spread}) {
    if (!rotated) continue;
    const auto rotations = sum_rotations(plan.tile * plan.tile).size();
    cost.work.activate += sw.rotations(1) * (static_cast<double>(rotations) * results);
    cost.key_switches += rotations * static_cast<std::size_t>(results);
  }
  if (step.kind == Kind::square) {
    cost.work.activate += sw.square() * results;
    cost.key_switches += static_cast<std::size_t>(results);
  } else if (levels_taken(plan, step) > 0) {
    cost.work.activate += rescaling(step.limbs, n) * results;
  }
  for (int k = 1; k < levels_taken(plan, step); ++k) cost.work.activate += rescaling(step.limbs - k, n) * results;
  // The sums exist before their sources go; the squares of the sums need room beside them.
  const auto limbs = static_cast<std::uint64_t>(step.limbs);
  const auto at_once = static_cast<std::uint64_t>(
      std::min(in_flight(step.limbs, threads), std::max({1, cost.work.copied, cost.work.results})));
  cost.word_limbs = std::max(2 * static_cast<std::uint64_t>(results) * limbs, 2 * most_copies * limbs * at_once) +
                    static_cast<std::uint64_t>(sw.scratch_limbs()) * at_once;
  cost.weight_bytes = weight_bytes(plan, task, threads);
  return cost;
}

}  // namespace sotto::plan
