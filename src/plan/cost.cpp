#include "plan/cost.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <map>
#include <set>

#include "ckks/ciphertext_file.h"
#include "ckks/key_file.h"
#include "plan/schedule.h"

namespace sotto::plan {

Work& Work::operator+=(const Work& o) {
  transforms += o.transforms;
  layer_macs += o.layer_macs;
  basis_macs += o.basis_macs;
  words += o.words;
  fresh_bytes += o.fresh_bytes;
  weights += o.weights;
  embedded_words += o.embedded_words;
  key_bytes += o.key_bytes;
  return *this;
}

Work Work::operator*(double times) const {
  return {transforms * times,  layer_macs * times, basis_macs * times,     words * times,
          fresh_bytes * times, weights * times,    embedded_words * times, key_bytes * times};
}

double Work::seconds(const Speed& s) const {
  return (transforms * s.transform + layer_macs * s.layer_mac + basis_macs * s.basis_mac + words * s.pointwise +
          fresh_bytes * s.fresh + weights * s.weight + embedded_words * s.embedding + key_bytes * s.key_byte) /
         s.threads;
}

Work Work::operator-(const Work& o) const { return Work(*this) += o * -1.0; }

Work Cost::Step::total() const {
  Work sum = rotate;
  sum += linear;
  sum += memory;
  return sum += activate;
}

double Cost::Step::seconds(const Speed& speed) const { return total().seconds(speed); }

double Cost::seconds(const Speed& speed) const {
  double sum = 0;
  for (const Step& s : steps) sum += s.seconds(speed);
  return sum;
}

namespace {

// Words of a weight without a mask against those of one with: no transform, one value for all runs.
constexpr double kConstantWeight = 0.2;

// The work of the parts of a key switch (ckks/evaluator.cpp) on polynomials of n words.
struct SwitchWork {
  double n;
  int limbs, special;

  [[nodiscard]] int digits() const { return tier().digits(limbs); }
  [[nodiscard]] int digit_limbs(int d) const {
    return std::min(tier().digit_limbs(), limbs - d * tier().digit_limbs());
  }
  [[nodiscard]] ckks::KeyTier tier() const { return {limbs, special}; }

  // Limbs in words during a switch: the operand, its coefficients, the raised digits, and quotients and remainders of
  // both polynomials; as much again as the digits while a key is read.
  [[nodiscard]] int scratch_limbs() const { return 5 * limbs + 2 * special + 2 * digits() * (limbs + special); }

  [[nodiscard]] Work decompose() const {
    Work w{static_cast<double>(limbs), 0, 0, static_cast<double>(limbs) * n};
    for (int d = 0; d < digits(); ++d) {
      const double to = limbs + special - digit_limbs(d);
      w.transforms += to;
      w.basis_macs += to * digit_limbs(d) * n;
    }
    return w;
  }
  [[nodiscard]] Work inner_product() const { return {0, 0, 0, 2.0 * digits() * (limbs + special) * n}; }
  // Both polynomials, by the special primes and, if asked, the last prime.
  [[nodiscard]] Work divide(bool rescale) const {
    const double from = special + (rescale ? 1 : 0), to = limbs - (rescale ? 1 : 0);
    return Work{from + to, 0, (from + 1) * to * n, to * n} * 2;
  }
  [[nodiscard]] Work rotations(int count) const {
    Work w = decompose(), each = inner_product();
    each += divide(false);
    each.words += 3.0 * limbs * n;
    w += each * count;
    return w;
  }
  [[nodiscard]] Work square() const {
    Work w = decompose();
    w += inner_product();
    w += divide(true);
    w.words += 5.0 * limbs * n;
    return w;
  }
};

// The products of a task with its sources.
Work linear_work(const Plan& plan, const Task& task) {
  const Step& step = plan.steps[static_cast<std::size_t>(task.step)];
  const double n = std::ldexp(1.0, plan.parameters.log_n), limbs = step.limbs;
  const double rows = plan.tensors[static_cast<std::size_t>(step.output)].layout.blocks();
  const auto period = static_cast<double>(step_period(plan, step));
  Work work;
  if (plan.group() == 1) {
    double columns = 1, masked = 1;
    for (const Tap& tap : task.taps) {
      const int blocks = plan.tensors[static_cast<std::size_t>(tap.source.tensor)].layout.blocks();
      columns += blocks;
      masked += tap.mask.empty() ? kConstantWeight * blocks : blocks;
    }
    work.layer_macs = 2 * columns * rows * limbs * n;
    work.weights = masked * rows * period * limbs;
    return work;
  }
  std::vector<std::set<int>> moves;
  for (const Term& term : step.terms) moves.push_back(channel_moves(plan, step, term));
  double products = 0;
  for (int giant = task.first_giant; giant <= task.last_giant; ++giant)
    for (const Tap& tap : task.taps)
      if (moves[static_cast<std::size_t>(tap.term)].contains(giant * step.baby + tap.shift))
        products += plan.tensors[static_cast<std::size_t>(tap.source.tensor)].layout.blocks() * rows;
  work.weights = products * period * limbs;
  work.embedded_words = products * period * std::log2(period);
  work.words = (products + 2.0 * (task.last_giant - task.first_giant) * rows) * limbs * n;
  return work;
}

// Memory for the weights of a task: as integers, and as residues of the limb at work on each thread.
std::uint64_t weight_bytes(const Plan& plan, const Task& task, int threads) {
  const Step& step = plan.steps[static_cast<std::size_t>(task.step)];
  std::size_t columns = 1;
  for (const Tap& tap : task.taps)
    columns += static_cast<std::size_t>(plan.tensors[static_cast<std::size_t>(tap.source.tensor)].layout.blocks());
  const auto at_work = static_cast<std::size_t>(std::clamp(threads, 1, step.limbs));
  if (plan.group() > 1) return (columns + 8 * at_work) * step_period(plan, step) * 8;
  const auto rows = static_cast<std::size_t>(plan.tensors[static_cast<std::size_t>(step.output)].layout.channels);
  return step_period(plan, step) * rows * columns * 8 * (at_work + 1);
}

// Division of both polynomials by the last prime.
Work rescaling(int limbs, double n) { return Work{static_cast<double>(limbs), 0, limbs * n, limbs * n} * 2; }

// Reading the keys that a task needs and no earlier one has read.
Work reading(const Plan& plan, const Task& task, std::set<ckks::KeyId>& read) {
  Work work;
  for (const ckks::KeyId& id : keys_of(plan, task)) {
    const ckks::KeyTier& t = plan.keys.tiers[static_cast<std::size_t>(id.tier)];
    if (read.insert(id).second)
      work.key_bytes += 2.0 * t.digits() * (t.max_limbs + t.special) *
                        std::ldexp(static_cast<double>(simd::kPackedBytes), plan.parameters.log_n);
  }
  return work;
}

struct Walker {
  explicit Walker(const Plan& p) : plan(p), schedule(make_schedule(p)), n(std::ldexp(1.0, p.parameters.log_n)) {}

  const Plan& plan;
  const Schedule schedule;
  const double n;
  std::map<std::pair<int, int>, int> held;  // tensor phase: limbs
  std::map<Source, int> rotated;

  [[nodiscard]] SwitchWork switching(int limbs) const {
    return {n, limbs, plan.keys.tiers[static_cast<std::size_t>(tier_of(plan, limbs))].special};
  }
  [[nodiscard]] int blocks(int tensor) const { return plan.tensors[static_cast<std::size_t>(tensor)].layout.blocks(); }

  [[nodiscard]] std::uint64_t live_limbs() const {
    std::uint64_t limbs = 0;
    for (const auto& [where, l] : held) limbs += 2ull * static_cast<std::uint64_t>(l * blocks(where.first));
    for (const auto& [source, l] : rotated) limbs += 2ull * static_cast<std::uint64_t>(l * blocks(source.tensor));
    return limbs;
  }

  void release(int task) {
    std::erase_if(rotated, [&](const auto& entry) { return schedule.last_use.at(entry.first) <= task; });
    for (auto& [where, held_limbs] : held) {
      const auto uses = schedule.uses.find(where);
      if (uses == schedule.uses.end()) continue;
      int limbs = 0;
      for (const auto& [user, needed] : uses->second)
        if (user > task) limbs = std::max(limbs, needed);
      held_limbs = std::min(held_limbs, limbs);
    }
    std::erase_if(held, [](const auto& entry) { return entry.second == 0; });
  }
};

std::uint64_t expanded_key_limbs(const Plan& plan, int tier) {
  std::uint64_t limbs = 0;
  for (const auto& k : plan.keys.keys) {
    if (k.tier != tier) continue;
    const auto& t = plan.keys.tiers[static_cast<std::size_t>(tier)];
    limbs += 2ull * static_cast<std::uint64_t>(t.digits() * (t.max_limbs + t.special));
  }
  return limbs;
}

}  // namespace

Cost estimate(const Plan& plan, int threads) {
  Walker walk(plan);
  Cost cost;
  cost.steps.resize(plan.steps.size());
  const double n = walk.n;
  const auto limb_bytes = static_cast<std::uint64_t>(n) * 8;
  const auto primes = static_cast<std::uint64_t>(plan.parameters.ciphertext_primes + plan.parameters.special_primes);
  // Transform tables, permutation tables, the section of a key while it is read, and the program itself.
  const std::uint64_t fixed =
      primes * limb_bytes * 5 / 4 + plan.keys.keys.size() * limb_bytes / 8 + 4 * primes * limb_bytes + (96ull << 20);
  // Memory for packed limbs and for words is kept for reuse, so that the most of each counts for good.
  std::uint64_t most_packed = 0, most_words = 0;
  std::set<ckks::KeyId> read;
  const int input_phases = plan.input().layout.phases * plan.input().layout.phases;
  for (int p = 0; p < input_phases; ++p) walk.held[{0, p}] = plan.input().limbs;

  for (std::size_t t = 0; t < walk.schedule.tasks.size(); ++t) {
    const Task& task = walk.schedule.tasks[t];
    const Step& step = plan.steps[static_cast<std::size_t>(task.step)];
    Cost::Step& out = cost.steps[static_cast<std::size_t>(task.step)];
    const SwitchWork sw = walk.switching(step.limbs);
    const Work before = out.total();
    std::map<std::pair<int, int>, std::set<std::int64_t>> missing;
    bool sums = false;
    for (const Tap& tap : task.taps) {
      sums = sums || step.terms[static_cast<std::size_t>(tap.term)].kind == Term::Kind::full;
      if (tap.source.rotation != 0 && !walk.rotated.contains(tap.source))
        missing[{tap.source.tensor, tap.source.phase}].insert(tap.source.rotation);
    }
    for (const auto& [where, rotations] : missing) {
      out.rotate += sw.rotations(static_cast<int>(rotations.size())) * walk.blocks(where.first);
      out.key_switches += rotations.size() * static_cast<std::size_t>(walk.blocks(where.first));
      for (std::int64_t r : rotations) walk.rotated[{where.first, where.second, r}] = step.limbs;
    }
    const double results = walk.blocks(step.output);
    const int giants = task.last_giant - task.first_giant;
    out.rotate += sw.rotations(1) * (giants * results);
    out.rotate += reading(plan, task, read);
    out.key_switches += static_cast<std::size_t>(giants * results);
    const Work linear = linear_work(plan, task);
    out.linear += linear;
    if (sums) {
      const auto rotations = sum_rotations(plan.tile * plan.tile).size();
      out.activate += sw.rotations(1) * (static_cast<double>(rotations) * results);
      out.key_switches += rotations * static_cast<std::size_t>(results);
    }
    if (step.finish == Step::Finish::square) {
      out.activate += sw.square() * results;
      out.key_switches += static_cast<std::size_t>(results);
    } else if (step.finish == Step::Finish::rescale) {
      out.activate += rescaling(step.limbs, n) * results;
    }
    for (int k = 1; k < plan.level_primes && step.finish != Step::Finish::keep; ++k)
      out.activate += rescaling(step.limbs - k, n) * results;
    const std::uint64_t weights = weight_bytes(plan, task, threads);
    // The sums exist before their sources go; the squares of the sums need room beside them.
    const std::uint64_t sums_limbs = 2ull * static_cast<std::uint64_t>(results * step.limbs);
    std::size_t copies = 0;
    for (const auto& [where, rotations] : missing) copies = std::max(copies, rotations.size());
    const std::uint64_t waiting = walk.live_limbs() + expanded_key_limbs(plan, tier_of(plan, step.limbs));
    const std::uint64_t scratch = static_cast<std::uint64_t>(sw.scratch_limbs());
    most_packed = std::max(most_packed, waiting * (limb_bytes / 8 * simd::kPackedBytes));
    most_words = std::max(
        most_words,
        std::max(sums_limbs + scratch, 2 * copies * static_cast<std::uint64_t>(step.limbs) + scratch) * limb_bytes);
    const std::uint64_t bytes = most_packed + most_words + weights + fixed;
    if (bytes > cost.peak_bytes) out.memory.fresh_bytes += static_cast<double>(bytes - cost.peak_bytes);
    out.peak_bytes = std::max(out.peak_bytes, bytes);
    cost.peak_bytes = std::max(cost.peak_bytes, bytes);
    cost.tasks.push_back(out.total() - before);
    walk.held[{step.output, task.phase}] = plan.tensors[static_cast<std::size_t>(step.output)].limbs;
    walk.release(static_cast<int>(t));
  }
  for (int tier = 0; tier < static_cast<int>(plan.keys.tiers.size()); ++tier)
    cost.all_keys_bytes += expanded_key_limbs(plan, tier) * (limb_bytes / 8 * simd::kPackedBytes);
  const auto words = static_cast<std::size_t>(n);
  for (std::uint64_t b : ckks::key_section_bytes(words, plan.parameters.prime_bits, plan.keys))
    cost.eval_key_bytes += b;
  cost.input_bytes = static_cast<std::uint64_t>(plan.input().layout.ciphertexts()) *
                     ckks::ciphertext_bytes(wire::Kind::input, words, plan.parameters.prime_bits, plan.input().limbs);
  cost.output_bytes =
      static_cast<std::uint64_t>(plan.output().layout.ciphertexts()) *
      ckks::ciphertext_bytes(wire::Kind::output, words, plan.parameters.prime_bits, plan.output().limbs);
  return cost;
}

}  // namespace sotto::plan
