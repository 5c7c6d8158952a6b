#include "plan/cost.h"

#include <algorithm>

#include "ckks/ciphertext_file.h"
#include "ckks/key_file.h"
#include "plan/live_set.h"

namespace sotto::plan {

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

// The account of a run, task by task.
class Account {
 public:
  Account(const Plan& plan, const Schedule& schedule, int threads) : plan_(plan), schedule_(schedule) {
    const auto primes = static_cast<std::uint64_t>(plan.parameters.ciphertext_primes + plan.parameters.special_primes);
    const std::uint64_t keys = plan.keys.keys.size();
    // Transform tables, permutation tables, buffers of files, and the program itself.
    fixed_ = primes * limb_bytes() * 5 / 4 + keys * limb_bytes() / 8 +
             std::min(static_cast<std::uint64_t>(threads), keys) * 4 * limb_bytes() + (96ull << 20);
    for (const Probe& p : plan.probes) fixed_ += 2 * static_cast<std::uint64_t>(p.limbs) * packed_bytes();
    LiveSet live(plan, schedule_);
    std::set<ckks::KeyId> read;
    for (int t = 0; t < static_cast<int>(schedule_.tasks.size()); ++t) {
      tasks_.push_back(task_cost(plan, schedule_.tasks[static_cast<std::size_t>(t)], live.copies(t), read, threads));
      live.make_copies(t);
      waiting_.push_back(live.total());
      live.release(t);
      live.add_output(t);
    }
    add_keys();
  }

  // Memory for packed limbs and for words is kept for reuse, so that the most of each counts for good.
  void add_up(Cost& cost) const {
    std::uint64_t packed = 0, words = 0;
    for (std::size_t t = 0; t < tasks_.size(); ++t) {
      Cost::Step& out = cost.steps[static_cast<std::size_t>(tasks_[t].work.step)];
      out.rotate += tasks_[t].work.rotate;
      out.linear += tasks_[t].work.linear;
      out.activate += tasks_[t].work.activate;
      out.key_switches += tasks_[t].key_switches;
      packed = std::max(packed, (waiting_[t] + key_limbs_[t]) * packed_bytes());
      words = std::max(words, tasks_[t].word_limbs * limb_bytes());
      const std::uint64_t bytes = packed + words + tasks_[t].weight_bytes + fixed_;
      if (bytes > cost.peak_bytes) out.memory.fresh_bytes += static_cast<double>(bytes - cost.peak_bytes);
      out.peak_bytes = std::max(out.peak_bytes, bytes);
      cost.peak_bytes = std::max(cost.peak_bytes, bytes);
      cost.tasks.push_back(tasks_[t].work);
    }
    cost.least_bytes = cost.peak_bytes;
  }

  // Under a limit: ciphertexts move to disk. Sets cost.residency and what depends on it.
  void limit(std::uint64_t bytes, Cost& cost) {
    const std::uint64_t keys = *std::max_element(key_limbs_.begin(), key_limbs_.end());
    std::uint64_t words = 0, weights = 0;
    for (const TaskCost& t : tasks_) {
      words = std::max(words, t.word_limbs * limb_bytes());
      weights = std::max(weights, t.weight_bytes);
    }
    // Room for ciphertexts and keys, once everything else has its own.
    const std::uint64_t other = fixed_ + words + weights;
    const std::uint64_t room = bytes > other ? (bytes - other) / packed_bytes() : 0;
    const auto capacity = [&](int t) { return room - std::min(room, key_limbs_[static_cast<std::size_t>(t)]); };
    cost.residency = plan_residency(plan_, schedule_, capacity);
    for (std::size_t t = 0; t < tasks_.size(); ++t) {
      waiting_[t] = std::min(waiting_[t], capacity(static_cast<int>(t)));
      cost.steps[static_cast<std::size_t>(tasks_[t].work.step)].memory.disk_bytes +=
          static_cast<double>(cost.residency->tasks[t].limbs * packed_bytes());
    }
    add_up(cost);
    cost.least_bytes = other + (cost.residency->least_limbs + keys) * packed_bytes();
  }

  [[nodiscard]] std::uint64_t limb_bytes() const { return std::uint64_t{8} << plan_.parameters.log_n; }
  [[nodiscard]] std::uint64_t packed_bytes() const { return limb_bytes() / 8 * simd::kPackedBytes; }

 private:
  // A key is in memory from its first use to its last.
  void add_keys() {
    key_limbs_.assign(tasks_.size(), 0);
    for (const auto& [id, span] : key_spans(plan_, schedule_))
      for (int t = span.first; t <= span.last; ++t)
        key_limbs_[static_cast<std::size_t>(t)] += expanded_key_limbs(plan_, id);
  }

  const Plan& plan_;
  const Schedule& schedule_;
  std::uint64_t fixed_ = 0;
  std::vector<std::uint64_t> key_limbs_;  // packed limbs of keys in memory, by task
  std::vector<TaskCost> tasks_;
  std::vector<std::uint64_t> waiting_;  // packed limbs of ciphertexts, by task
};

}  // namespace

Cost estimate(const Plan& plan, int threads, std::uint64_t memory_limit) {
  return estimate(plan, make_schedule(plan), threads, memory_limit);
}

Cost estimate(const Plan& plan, const Schedule& schedule, int threads, std::uint64_t memory_limit) {
  Account account(plan, schedule, threads);
  Cost cost;
  cost.steps.resize(plan.steps.size());
  account.add_up(cost);
  if (memory_limit != 0 && cost.peak_bytes > memory_limit) {
    cost = {};
    cost.steps.resize(plan.steps.size());
    account.limit(memory_limit, cost);
  }
  for (const ckks::KeyId& id : plan.keys.keys)
    cost.all_keys_bytes += expanded_key_limbs(plan, id) * account.packed_bytes();
  const std::size_t n = std::size_t{1} << plan.parameters.log_n;
  for (const ckks::KeyShape& k : ckks::shapes_of(plan.keys)) cost.eval_key_bytes += ckks::key_bytes(plan.parameters, k);
  cost.input_bytes = static_cast<std::uint64_t>(plan.input().layout.ciphertexts()) *
                     ckks::ciphertext_bytes(wire::Kind::input, n, plan.parameters.prime_bits, plan.input().level);
  cost.output_bytes = static_cast<std::uint64_t>(plan.output().layout.ciphertexts()) *
                      ckks::ciphertext_bytes(wire::Kind::output, n, plan.parameters.prime_bits, plan.output().level);
  for (const Probe& p : plan.probes)
    cost.output_bytes += ckks::ciphertext_bytes(wire::Kind::output, n, plan.parameters.prime_bits, p.limbs);
  return cost;
}

}  // namespace sotto::plan
