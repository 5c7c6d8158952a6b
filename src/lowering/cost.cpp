#include "lowering/cost.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "lowering/features.h"
#include "plan/cost.h"
#include "plan/parallelism.h"
#include "plan/switch_work.h"
#include "program/mix_runs.h"

namespace sotto::lowering {

using plan::SwitchWork;
using plan::Work;
using program::Instruction;
using Kind = Instruction::Kind;

namespace {

// What a step of models/train/mnist.toml took, by kind of instruction, fixes these.
constexpr double kProductWords = 3;      // a product of two ciphertexts, in words of an operation out of cache
constexpr double kPacking = 2;           // words of a ciphertext packed or unpacked, both polynomials
constexpr double kWrittenOut = 4;        // words of a product with a plaintext that is written out, both polynomials
constexpr double kShortRuns = 1.4;       // a matrix product over runs of a mix, beside one over those of a layer
constexpr double kBootstrapAlone = 1.5;  // one ciphertext keeps threads waiting for each other

class Counter {
 public:
  Counter(const program::Program& program, const std::vector<ckks::KeyTier>& tiers, int log_n)
      : program_(program), tiers_(tiers), log_n_(log_n), n_(std::ldexp(1.0, log_n)) {}

  [[nodiscard]] Work of(const Instruction& i) const {
    Work work = ends(i);
    switch (i.kind) {
      case Kind::rotate:
      case Kind::rotate_sum:
      case Kind::join:
        return work += rotations(i);
      case Kind::multiply:
        return work += products(i);
      case Kind::mix:
        return work += mix(i);
      case Kind::shift:
        return work;
      case Kind::bootstrap:
        return work +=
               plan::bootstrap_work(*program_.bootstrapping, log_n_, 1, [&](int limbs) { return special(limbs); }) *
               kBootstrapAlone;
    }
    return work;
  }

 private:
  [[nodiscard]] int special(int limbs) const {
    return tiers_[static_cast<std::size_t>(ckks::tier_for(tiers_, limbs))].special;
  }
  [[nodiscard]] SwitchWork at(int limbs) const { return {n_, limbs, special(limbs)}; }

  // Packing of what comes out, and divisions by single primes.
  [[nodiscard]] Work ends(const Instruction& i) const {
    Work work;
    const bool relinearises = i.kind == Kind::multiply && !i.sources.empty();
    for (int k = relinearises ? 1 : 0; k < i.rescales; ++k) {
      const double limbs = i.limbs - k;
      work += Work{limbs, 0, limbs * n_, limbs * n_} * (2 * static_cast<double>(i.outputs.size()));
    }
    for (int v : i.outputs) work.words += kPacking * program_.value(v).limbs * n_;
    return work;
  }

  // A join has a ModUp for each source, the others one in all; sums have one ModDown in all.
  [[nodiscard]] Work rotations(const Instruction& i) const {
    const SwitchWork sw = at(i.limbs);
    const auto moved = static_cast<double>(std::ranges::count_if(i.rotations, [](auto r) { return r != 0; }));
    Work each = sw.inner_product();
    each.words += 3.0 * i.limbs * n_;
    if (i.kind != Kind::rotate)
      each.words += 4.0 * (sw.limbs() + sw.special) * n_;  // moved and added before the ModDown
    Work work = each * moved;
    work += sw.mod_up() * (i.kind == Kind::join ? moved : 1);
    work += sw.mod_down(sw.level) * (i.kind == Kind::rotate ? moved : 1);
    work.words += kPacking * i.limbs * n_ * static_cast<double>(i.sources.size());
    return work;
  }

  [[nodiscard]] Work products(const Instruction& i) const {
    Work work;
    work.words =
        (kProductWords * static_cast<double>(i.sources.size() / 2) + 2.0 * static_cast<double>(i.addends.size())) *
        i.limbs * n_;
    if (!i.sources.empty()) {
      const SwitchWork sw = at(i.limbs);
      work += sw.mod_up();
      work += sw.inner_product();
      work += sw.mod_down(i.limbs - std::min(i.rescales, 1));
    }
    return work;
  }

  [[nodiscard]] Work mix(const Instruction& i) const {
    std::size_t period = program::kLeastPeriod;
    std::set<std::pair<int, int>> plaintexts;
    double used = 0;
    for (const program::Factor& f : i.factors) {
      if (f.pattern < 0) continue;
      ++used;
      plaintexts.insert({f.pattern, f.coefficient});
      period = std::max(period, program_.patterns[static_cast<std::size_t>(f.pattern)].size());
    }
    const double limbs = i.limbs, words = static_cast<double>(period);
    Work work;
    for (const auto& [pattern, coefficient] : plaintexts) {
      if (program_.patterns[static_cast<std::size_t>(pattern)].size() == 1) continue;
      work.embedded_words += words * std::log2(words);
      work.weights += words * limbs;
    }
    if (words * static_cast<double>(program::kLeastRun) > n_)
      work.words = kWrittenOut * used * limbs * n_;
    else
      work.layer_macs = kShortRuns * 2 * static_cast<double>(i.sources.size() * i.outputs.size()) * limbs * n_;
    return work;
  }

  const program::Program& program_;
  const std::vector<ckks::KeyTier>& tiers_;
  int log_n_;
  double n_;
};

}  // namespace

std::map<Kind, Work> work_of(const program::Program& program, const std::vector<ckks::KeyTier>& tiers, int log_n) {
  const Counter counter(program, tiers, log_n);
  std::map<Kind, Work> all;
  for (const Instruction& i : program.instructions) all[i.kind] += counter.of(i);
  return all;
}

double seconds_per_step(const TrainingPlan& plan, const LoweredStep& lowered, const plan::Speed& speed) {
  double sum = 0;
  for (const auto& [kind, work] : work_of(lowered.program, plan.keys.tiers, plan.parameters.log_n))
    sum += work.seconds(speed);
  return sum;
}

std::vector<double> parts_passed(const program::Program& program, const std::vector<ckks::KeyTier>& tiers, int log_n) {
  std::map<program::Instruction::Kind, double> seconds;  // of one
  for (const auto& [kind, work] : work_of(program, tiers, log_n)) seconds[kind] = work.seconds(plan::kTypicalSpeed);
  for (auto& [kind, s] : seconds)
    s /= static_cast<double>(
        std::max<std::ptrdiff_t>(std::ranges::count(program.instructions, kind, &program::Instruction::kind), 1));
  std::vector<double> parts{0};
  for (const program::Instruction& i : program.instructions) parts.push_back(parts.back() + seconds[i.kind]);
  const double all = parts.back();
  for (double& p : parts) p = all > 0 ? p / all : 1;
  return parts;
}

double feature_bootstrap_seconds(const TrainingPlan& plan, const LoweredStep& lowered, const plan::Speed& speed) {
  if (!lowered.program.bootstrapping) return 0;
  const std::vector<ckks::KeyTier>& tiers = plan.keys.tiers;
  const auto special = [&](int limbs) { return tiers[static_cast<std::size_t>(ckks::tier_for(tiers, limbs))].special; };
  const Work one =
      plan::bootstrap_work(plan.levels.bootstrapping, plan.parameters.log_n, plan::kBootstrappedTogether, special);
  return one.seconds(speed) * static_cast<double>(lowered.images);
}

double feature_seconds(const TrainingPlan& plan, const LoweredStep& lowered, const plan::Speed& speed) {
  if (!plan.body || !plan.body->plan) return 0;
  const plan::Plan& body = *plan.body->plan;
  const int threads = static_cast<int>(speed.threads);
  double each = plan::seconds_with(body, plan::estimate(body, threads), speed, threads);
  for (const auto& [kind, work] : work_of(pack_features(plan), plan.keys.tiers, plan.parameters.log_n))
    each += work.seconds(speed);
  return each * plan.arrangement.groups() + feature_bootstrap_seconds(plan, lowered, speed);
}

}  // namespace sotto::lowering
