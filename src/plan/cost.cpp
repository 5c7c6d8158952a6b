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
  return *this;
}

Work Work::operator*(double times) const {
  return {transforms * times, layer_macs * times, basis_macs * times, words * times, fresh_bytes * times};
}

double Work::seconds(const Speed& s) const {
  return (transforms * s.transform + layer_macs * s.layer_mac + basis_macs * s.basis_mac + words * s.pointwise +
          fresh_bytes * s.fresh) /
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

int tier_of(const Plan& plan, int limbs) {
  int best = 0;
  for (int t = 0; t < static_cast<int>(plan.keys.tiers.size()); ++t) {
    const int m = plan.keys.tiers[t].max_limbs;
    if (m >= limbs && (plan.keys.tiers[best].max_limbs < limbs || m < plan.keys.tiers[best].max_limbs)) best = t;
  }
  return best;
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
  [[nodiscard]] int channels(int tensor) const {
    return plan.tensors[static_cast<std::size_t>(tensor)].layout.channels;
  }

  [[nodiscard]] std::uint64_t live_limbs() const {
    std::uint64_t limbs = 0;
    for (const auto& [where, l] : held) limbs += 2ull * static_cast<std::uint64_t>(l * channels(where.first));
    for (const auto& [source, l] : rotated) limbs += 2ull * static_cast<std::uint64_t>(l * channels(source.tensor));
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
  const int input_phases = plan.input().layout.phases * plan.input().layout.phases;
  for (int p = 0; p < input_phases; ++p) walk.held[{0, p}] = plan.input().limbs;

  for (std::size_t t = 0; t < walk.schedule.tasks.size(); ++t) {
    const Task& task = walk.schedule.tasks[t];
    const Step& step = plan.steps[static_cast<std::size_t>(task.step)];
    Cost::Step& out = cost.steps[static_cast<std::size_t>(task.step)];
    const SwitchWork sw = walk.switching(step.limbs);
    const Work before = out.total();
    std::map<std::pair<int, int>, std::set<std::int64_t>> missing;
    double columns = 1;
    bool sums = false;
    for (const Tap& tap : task.taps) {
      columns += walk.channels(tap.source.tensor);
      sums = sums || step.terms[static_cast<std::size_t>(tap.term)].kind == Term::Kind::full;
      if (tap.source.rotation != 0 && !walk.rotated.contains(tap.source))
        missing[{tap.source.tensor, tap.source.phase}].insert(tap.source.rotation);
    }
    for (const auto& [where, rotations] : missing) {
      out.rotate += sw.rotations(static_cast<int>(rotations.size())) * walk.channels(where.first);
      out.key_switches += rotations.size() * static_cast<std::size_t>(walk.channels(where.first));
      for (std::int64_t r : rotations) walk.rotated[{where.first, where.second, r}] = step.limbs;
    }
    const double results = walk.channels(step.output);
    out.linear.layer_macs += 2.0 * columns * results * step.limbs * n;
    if (sums) {
      const auto rotations = sum_rotations(plan.tile * plan.tile).size();
      out.activate += sw.rotations(1) * (static_cast<double>(rotations) * results);
      out.key_switches += rotations * static_cast<std::size_t>(results);
    }
    if (step.finish == Step::Finish::square) {
      out.activate += sw.square() * results;
      out.key_switches += static_cast<std::size_t>(results);
    } else if (step.finish == Step::Finish::rescale) {
      out.activate += Work{static_cast<double>(step.limbs), 0, step.limbs * n, step.limbs * n} * (2 * results);
    }
    const double period = std::max(64, plan.tile * plan.tile);
    const auto weights = static_cast<std::uint64_t>(period * results * columns) * 8 *
                         static_cast<std::uint64_t>(std::clamp(threads, 1, step.limbs) + 1);  // and as integers
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
  const auto words = static_cast<std::size_t>(n);
  for (std::uint64_t b : ckks::key_section_bytes(words, plan.keys)) cost.eval_key_bytes += b;
  cost.input_bytes = static_cast<std::uint64_t>(plan.input().layout.ciphertexts()) *
                     ckks::ciphertext_bytes(wire::Kind::input, words, plan.input().limbs);
  cost.output_bytes = static_cast<std::uint64_t>(plan.io.outputs) *
                      ckks::ciphertext_bytes(wire::Kind::output, words, plan.output().limbs);
  return cost;
}

}  // namespace sotto::plan
