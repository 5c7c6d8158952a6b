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

}  // namespace

Work linear_work(const Plan& plan, const Task& task, int at_limbs) {
  const Step& step = plan.steps[static_cast<std::size_t>(task.step)];
  const double n = std::ldexp(1.0, plan.parameters.log_n), limbs = at_limbs;
  const auto period = static_cast<double>(step_period(plan, step));
  Work work;
  if (fills_gaps(plan, step)) {
    for_each_giant_rows(plan, task, [&](std::span<const GiantRow> part) {
      for (const Product& p : products_in_gaps(plan, task, part)) {
        const auto columns = static_cast<double>(p.width());
        work.layer_macs += 2 * columns * std::max(p.rows, kLeastRows) * limbs * n;
        work.weights += kMatrixWeight * (columns + (p.first ? 1 : 0)) * p.rows * period * limbs;
      }
    });
    work.embedded_words = static_cast<double>(task.products) * period * std::log2(period);
    return work;
  }
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
  work.words = (products + 2.0 * static_cast<double>(task.turned_sums)) * limbs * n;
  return work;
}

namespace {

// Memory for the weights of a task: as integers, and as residues of the limb at work on each thread.
std::uint64_t weight_bytes(const Plan& plan, const Task& task, int threads) {
  const Step& step = plan.steps[static_cast<std::size_t>(task.step)];
  const auto at_work = static_cast<std::size_t>(std::clamp(threads, 1, step.level.count()));
  if (plan.group() > 1) {
    std::size_t columns = 1;
    for (const Tap& tap : task.taps)
      columns += static_cast<std::size_t>(plan.tensors[static_cast<std::size_t>(tap.source.tensor)].layout.blocks());
    return (columns + 8 * at_work) * step_period(plan, step) * 8;
  }
  std::size_t weights = 0;
  if (fills_gaps(plan, step)) {
    for_each_giant_rows(plan, task, [&](std::span<const GiantRow> part) {
      std::size_t all = 0;
      for (const Product& p : products_in_gaps(plan, task, part))
        all += static_cast<std::size_t>(p.rows) * (p.width() + (p.first ? 1 : 0));
      weights = std::max(weights, all);
    });
    return step_period(plan, step) * weights * 8 * (at_work + 1);
  }
  for (const Product& p : products_of(plan, task))
    weights += static_cast<std::size_t>(p.rows) * (p.width() + (p.first ? 1 : 0));
  return step_period(plan, step) * weights * 8 * (at_work + 1);
}

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

int summing_rotations(const Plan& plan, const Task& task) {
  const Step& step = plan.steps[static_cast<std::size_t>(task.step)];
  const bool sums = std::ranges::any_of(task.taps, [&](const Tap& tap) {
    return step.terms[static_cast<std::size_t>(tap.term)].kind == Term::Kind::full;
  });
  return (static_cast<int>(sums) + static_cast<int>(step.spread)) *
         static_cast<int>(sum_rotations(plan.tile.area()).size());
}

Turned::Turned(const Plan& plan, const Task& task) {
  const Step& step = plan.steps[static_cast<std::size_t>(task.step)];
  (task.giants.empty() ? alone : together) = static_cast<double>(task.turned_sums);
  if (together > 0) results = plan.tensors[static_cast<std::size_t>(step.output)].layout.blocks();
}

Work Turned::work(const SwitchWork& at) const {
  Work work = at.rotations(1) * alone;
  work += at.mod_up() * together;
  work += at.inner_product() * together;
  return work += at.mod_down(at.level) * results;
}

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
  const auto special = [&](int at) { return plan.keys.tiers[static_cast<std::size_t>(tier_of(plan, at))].special; };
  TaskCost cost;
  cost.work.step = task.step;
  cost.work.results = results;
  cost.work.rotate = reading(plan, task, read);
  int switches = 0;
  for (const auto& [s, times] : slotwise_switches(plan, step)) switches += times;
  cost.key_switches = static_cast<std::size_t>(switches) * static_cast<std::size_t>(results);
  const auto count = static_cast<std::uint64_t>(results), limbs = static_cast<std::uint64_t>(step.level.count());
  const SwitchWork top{0, step.level, special(step.level.limbs)};
  cost.work.activate = finishing_work(plan, step, step.level, special) * results;
  if (step.kind == Kind::activate) {
    const auto at_once = static_cast<std::uint64_t>(std::min(in_flight(step.level.count(), threads), results));
    // Beside scratch, powers of the argument.
    cost.word_limbs = 2 * count * limbs + at_once * (static_cast<std::uint64_t>(top.scratch_limbs()) + 40 * limbs);
  } else if (step.kind == Kind::multiply) {
    const auto at_once = static_cast<std::uint64_t>(std::min(in_flight(step.level.count(), threads), results));
    // Beside both operands, the parts of the product.
    cost.word_limbs = 4 * count * limbs + at_once * (static_cast<std::uint64_t>(top.scratch_limbs()) + 2 * limbs);
  } else {
    const int together = std::min(results, kBootstrappedTogether), log_n = plan.parameters.log_n;
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
  const auto special_of_tier = [&](int at) {
    return plan.keys.tiers[static_cast<std::size_t>(tier_of(plan, at))].special;
  };
  const SwitchWork sw{n, step.level, special_of_tier(step.level.limbs)};
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
  cost.work.rotate += Turned(plan, task).work(sw);
  cost.work.rotate += reading(plan, task, read);
  cost.key_switches += task.turned_sums;
  cost.work.linear = linear_work(plan, task, step.level.count());
  const int summed = summing_rotations(plan, task);
  cost.work.activate += sw.rotations(1) * (summed * results);
  cost.work.activate += finishing_work(plan, step, step.level, special_of_tier) * results;
  cost.key_switches += static_cast<std::size_t>((summed + (step.kind == Kind::square ? 1 : 0)) * results);
  // The sums exist before their sources go; the squares of the sums need room beside them.
  const auto limbs = static_cast<std::uint64_t>(step.level.count());
  const auto at_once = static_cast<std::uint64_t>(
      std::min(in_flight(step.level.count(), threads), std::max({1, cost.work.copied, cost.work.results})));
  // With channels in gaps there are sums of giant steps beside the totals, which have special primes.
  std::uint64_t sums = 2 * static_cast<std::uint64_t>(results) * limbs;
  if (!task.giants.empty())
    sums +=
        2 * limbs * std::min<std::uint64_t>(kGiantRowsAtOnce, task.turned_sums + static_cast<std::uint64_t>(results)) +
        2 * static_cast<std::uint64_t>(results * sw.special);
  cost.word_limbs =
      std::max(sums, 2 * most_copies * limbs * at_once) + static_cast<std::uint64_t>(sw.scratch_limbs()) * at_once;
  cost.weight_bytes = weight_bytes(plan, task, threads);
  return cost;
}

}  // namespace sotto::plan
