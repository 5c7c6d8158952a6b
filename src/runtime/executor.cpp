#include "runtime/executor.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "plan/cost.h"

namespace sotto::runtime {

namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

bool sums_tile(const plan::Plan& plan, const plan::Task& task) {
  return std::any_of(task.taps.begin(), task.taps.end(), [&](const plan::Tap& t) {
    return plan.steps[task.step].terms[t.term].kind == plan::Term::Kind::full;
  });
}

}  // namespace

Executor::Executor(const plan::Plan& plan, const ckks::Parameters& parameters,
                   const std::shared_ptr<const ring::Ring>& ring, ckks::KeyProvider& keys,
                   std::function<void(const Progress&)> progress, const std::atomic<bool>* stop)
    : plan_(plan),
      schedule_(plan::make_schedule(plan)),
      ring_(*ring),
      keys_(keys),
      evaluator_(parameters, ring, plan.keys.tiers, &keys),
      progress_(std::move(progress)),
      stop_(stop) {
  if (plan.group() == 1)
    single_.emplace(plan, *ring);
  else
    grouped_.emplace(plan, *ring);
  // share_[t]: part of the predicted work that lies before task t.
  share_.push_back(0);
  for (const plan::Work& w : plan::estimate(plan).tasks)
    share_.push_back(share_.back() + w.seconds(plan::kTypicalSpeed));
  for (double& s : share_) s /= share_.back();
}

std::vector<ckks::Ciphertext> Executor::run(std::vector<ckks::PackedCiphertext> input) {
  const plan::Layout& layout = plan_.input().layout;
  check(input.size() == static_cast<std::size_t>(layout.ciphertexts()), "wrong number of input ciphertexts");
  tensors_.clear();
  rotated_.clear();
  times_.assign(plan_.steps.size(), {});
  for (std::size_t k = 0; k < input.size(); ++k)
    tensors_[{0, static_cast<int>(k) / layout.blocks()}].push_back(std::move(input[k]));

  for (std::size_t t = 0; t < schedule_.tasks.size(); ++t) {
    if (stop_ != nullptr && stop_->load()) throw Error(ErrorCode::interrupted, "interrupted; no output was written");
    const plan::Task& task = schedule_.tasks[t];
    const plan::Step& step = plan_.steps[task.step];
    if (progress_) progress_({t, schedule_.tasks.size(), task.step, share_[t]});
    StepTime& time = times_[task.step];
    const double start = now();
    const auto keys = plan::keys_of(plan_, task);
    keys_.prepare(std::vector(keys.begin(), keys.end()));
    const auto sources = prepare(task);
    time.rotate += now() - start;
    std::vector<ckks::Ciphertext> sums = this->sums(task, sources, time);
    release(static_cast<int>(t));
    const double added = now();
    Blocks& out = tensors_[{step.output, task.phase}];
    const bool sum_tile = sums_tile(plan_, task);
    for (auto& c : sums) out.push_back(ckks::pack(ring_, finish(step, sum_tile, std::move(c))));
    time.activate += now() - added;
    if (observe) observe(step.output, task.phase, out);
    if (tier_done) {
      const int tier = evaluator_.tier_for(step.limbs);
      bool needed = false;
      for (std::size_t k = t + 1; k < schedule_.tasks.size() && !needed; ++k)
        needed = evaluator_.tier_for(plan_.steps[schedule_.tasks[k].step].limbs) == tier;
      if (!needed) tier_done(tier);
    }
  }
  if (progress_)
    progress_({schedule_.tasks.size(), schedule_.tasks.size(), static_cast<int>(plan_.steps.size()) - 1, 1.0});
  std::vector<ckks::Ciphertext> scores;
  for (const auto& c : tensors_[{plan_.steps.back().output, 0}]) scores.push_back(ckks::unpack(ring_, c, c.limbs()));
  return scores;
}

// Makes the rotated copies that the task needs and are not there yet; one decomposition serves all rotations of a
// ciphertext.
Executor::Sources Executor::prepare(const plan::Task& task) {
  const int limbs = plan_.steps[task.step].limbs;
  std::map<std::pair<int, int>, std::vector<std::int64_t>> missing;
  for (const plan::Tap& tap : task.taps) {
    const auto& s = tap.source;
    auto& steps = missing[{s.tensor, s.phase}];
    if (s.rotation != 0 && !rotated_.contains(s) && std::find(steps.begin(), steps.end(), s.rotation) == steps.end())
      steps.push_back(s.rotation);
  }
  for (const auto& [where, steps] : missing) {
    if (steps.empty()) continue;
    for (const ckks::PackedCiphertext& c : tensors_.at(where)) {
      auto copies = evaluator_.rotate_many(ckks::unpack(ring_, c, limbs), steps);
      for (std::size_t k = 0; k < steps.size(); ++k)
        rotated_[{where.first, where.second, steps[k]}].push_back(ckks::pack(ring_, std::move(copies[k])));
    }
  }
  Sources sources;
  for (const plan::Tap& tap : task.taps) {
    const Blocks& from =
        tap.source.rotation == 0 ? tensors_.at({tap.source.tensor, tap.source.phase}) : rotated_.at(tap.source);
    auto& list = sources.emplace_back();
    for (const auto& c : from) list.push_back(&c);
  }
  return sources;
}

// The linear part of a task: one ciphertext per block of output channels.
std::vector<ckks::Ciphertext> Executor::sums(const plan::Task& task, const Sources& sources, StepTime& time) const {
  if (single_) {
    const double start = now();
    auto result = single_->run(task, sources);
    time.linear += now() - start;
    return result;
  }
  std::vector<ckks::Ciphertext> result;
  const int blocks = plan_.tensors[plan_.steps[task.step].output].layout.blocks();
  for (int b = 0; b < blocks; ++b) result.push_back(giant_steps(task, sources, b, time));
  return result;
}

// Horner's rule over giant steps, from both ends towards step 0, so that one key serves each direction.
ckks::Ciphertext Executor::giant_steps(const plan::Task& task, const Sources& sources, int block,
                                       StepTime& time) const {
  const std::int64_t rotation = plan::giant_rotation(plan_, plan_.steps[task.step]);
  const auto add_sum = [&](std::optional<ckks::Ciphertext> so_far, int giant) {
    const double start = now();
    auto sum = grouped_->run(task, sources, block, giant);
    if (sum && so_far) sum = evaluator_.add(*sum, *so_far);
    time.linear += now() - start;
    return sum ? std::move(sum) : std::move(so_far);
  };
  const auto rotate = [&](std::optional<ckks::Ciphertext> sum, std::int64_t steps) {
    const double start = now();
    if (sum) sum = evaluator_.rotate(*sum, steps);
    time.rotate += now() - start;
    return sum;
  };
  std::optional<ckks::Ciphertext> above, below;
  for (int g = task.last_giant; g > 0; --g) above = rotate(add_sum(std::move(above), g), rotation);
  for (int g = task.first_giant; g < 0; ++g) below = rotate(add_sum(std::move(below), g), -rotation);
  auto total = add_sum(std::move(above), 0);
  return below ? evaluator_.add(*total, *below) : std::move(*total);
}

// Frees what no later task reads, and the limbs that no later task needs.
void Executor::release(int task_index) {
  std::erase_if(rotated_, [&](const auto& entry) { return schedule_.last_use.at(entry.first) <= task_index; });
  for (auto it = tensors_.begin(); it != tensors_.end();) {
    const auto uses = schedule_.uses.find(it->first);
    if (uses == schedule_.uses.end()) {
      ++it;
      continue;
    }
    int limbs = 0;
    for (const auto& [task, needed] : uses->second)
      if (task > task_index) limbs = std::max(limbs, needed);
    if (limbs == 0) {
      it = tensors_.erase(it);
      continue;
    }
    for (auto& c : it->second) {
      if (c.limbs() > limbs) {
        c.c0.resize(static_cast<std::size_t>(limbs));
        c.c1.resize(static_cast<std::size_t>(limbs));
      }
    }
    ++it;
  }
}

ckks::Ciphertext Executor::finish(const plan::Step& step, bool sum_tile, ckks::Ciphertext c) const {
  if (sum_tile)
    for (std::int64_t r : plan::sum_rotations(plan_.tile * plan_.tile)) c = evaluator_.rotate_sum(c, std::array{r});
  switch (step.finish) {
    case plan::Step::Finish::square:
      c = evaluator_.square(std::move(c));
      break;
    case plan::Step::Finish::rescale:
      c = evaluator_.rescale(c);
      break;
    case plan::Step::Finish::keep:
      return c;
  }
  for (int k = 1; k < plan_.level_primes; ++k) c = evaluator_.rescale(c);
  return c;
}

}  // namespace sotto::runtime
