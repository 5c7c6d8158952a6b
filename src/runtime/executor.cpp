#include "runtime/executor.h"

#include <malloc.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "base/parallel.h"
#include "plan/cost.h"
#include "plan/parallelism.h"
#include "plan/switch_work.h"
#include "runtime/activate.h"

namespace sotto::runtime {

namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// Works on ciphertexts 0 .. count - 1, a few at the same time where their limbs would leave threads idle, and hands
// each on in order.
template <class Work, class Done>
void side_by_side(std::size_t count, int limbs, const Work& work, const Done& done) {
  const auto at_once = static_cast<std::size_t>(plan::in_flight(limbs, tbb::this_task_arena::max_concurrency()));
  for (std::size_t first = 0; first < count; first += at_once) {
    const std::size_t part = std::min(at_once, count - first);
    parallel_for(part, [&](std::size_t k) { work(first + k); });
    for (std::size_t k = 0; k < part; ++k) done(first + k);
  }
}

bool sums_tile(const plan::Plan& plan, const plan::Task& task) {
  return std::any_of(task.taps.begin(), task.taps.end(), [&](const plan::Tap& t) {
    return plan.steps[task.step].terms[t.term].kind == plan::Term::Kind::full;
  });
}

}  // namespace

Executor::Executor(const plan::Plan& plan, const ckks::Parameters& parameters,
                   const std::shared_ptr<const ring::Ring>& ring, ckks::KeyProvider& keys,
                   std::function<void(const Progress&)> progress, const std::atomic<bool>* stop,
                   const std::filesystem::path& scratch)
    : plan_(plan),
      schedule_(plan::make_schedule(plan)),
      ring_(*ring),
      keys_(keys),
      evaluator_(parameters, ring, plan.keys.tiers, &keys),
      probes_(plan_, evaluator_),
      progress_(std::move(progress)),
      stop_(stop),
      store_(*ring, scratch) {
  if (plan.group() == 1)
    single_.emplace(plan, *ring);
  else
    grouped_.emplace(plan, *ring);
  if (plan.refresh) {
    refresher_.emplace(*plan.refresh, *ring);
    ::malloc_trim(0);  // making its matrices leaves free memory in the heaps of all threads
  }
  tiers_ = plan::tier_spans(plan, schedule_);
  // share_[t]: part of the predicted work that lies before task t.
  share_.push_back(0);
  for (const plan::Cost::Task& t : plan::estimate(plan).tasks)
    share_.push_back(share_.back() + t.total().seconds(plan::kTypicalSpeed));
  for (double& s : share_) s /= share_.back();
}

std::vector<ckks::Ciphertext> Executor::run(std::vector<ckks::PackedCiphertext> input) {
  const plan::Layout& layout = plan_.input().layout;
  check(input.size() == static_cast<std::size_t>(layout.ciphertexts()), "wrong number of input ciphertexts");
  store_.clear();
  times_.assign(plan_.steps.size(), {});
  probes_.clear();
  for (const ckks::PackedCiphertext& c : input)
    if (probes_.watches(0)) probes_.add(0, ckks::unpack(ring_, c, std::min(c.limbs(), plan::kMostProbeLimbs)));
  for (std::size_t k = 0; k < input.size(); ++k)
    store_.append({0, static_cast<int>(k) / layout.blocks(), 0}, std::move(input[k]));
  plan::LiveSet live(plan_, schedule_);

  for (std::size_t t = 0; t < schedule_.tasks.size(); ++t) {
    check_stop();
    const plan::Task& task = schedule_.tasks[t];
    const plan::Step& step = plan_.steps[task.step];
    if (progress_) progress_({t, schedule_.tasks.size(), task.step, share_[t]});
    StepTime& time = times_[task.step];
    const int index = static_cast<int>(t);
    move_before(t, time);
    const double start = now();
    const auto keys = plan::keys_of(plan_, task);
    keys_.prepare(std::vector(keys.begin(), keys.end()));
    make_copies(live.copies(index), step.limbs);
    live.make_copies(index);
    time.rotate += now() - start;
    std::vector<ckks::Ciphertext> sums = step.slotwise() ? copies(task) : this->sums(task, sources(task), time);
    live.release(index);
    store_.retain(live.items());
    move_after(t, time);
    const double added = now();
    const plan::Source out{step.output, task.phase, 0};
    const auto done = [&](std::size_t k) {
      probes_.add(step.output, sums[k]);
      store_.append(out, ckks::pack(ring_, std::move(sums[k])));
      // Activating or bootstrapping a phase takes minutes.
      const double part = static_cast<double>(k + 1) / static_cast<double>(sums.size());
      if (progress_ && step.slotwise())
        progress_({t, schedule_.tasks.size(), task.step, share_[t] + part * (share_[t + 1] - share_[t])});
    };
    const bool sum_tile = sums_tile(plan_, task);
    if (step.finish == plan::Step::Finish::refresh)
      refresh(step, sums, done);
    else
      side_by_side(
          sums.size(), step.limbs,
          [&](std::size_t k) {
            check_stop();
            sums[k] = finish(step, sum_tile, std::move(sums[k]));
          },
          done);
    live.add_output(index);
    time.activate += now() - added;
    if (observe) observe(step.output, task.phase, store_.at(out));
    for (const auto& [tier, span] : tiers_)
      if (tier_done && span.last == index) tier_done(tier);
  }
  if (progress_)
    progress_({schedule_.tasks.size(), schedule_.tasks.size(), static_cast<int>(plan_.steps.size()) - 1, 1.0});
  std::vector<ckks::Ciphertext> scores;
  for (const auto& c : store_.at({plan_.steps.back().output, 0, 0}))
    scores.push_back(ckks::unpack(ring_, c, c.limbs()));
  return scores;
}

void Executor::check_stop() const {
  if (stop_ != nullptr && stop_->load()) throw Error(ErrorCode::interrupted, "interrupted; no output was written");
}

void Executor::limit_memory(plan::Residency residency) {
  check(residency.tasks.size() == schedule_.tasks.size(), "moves for another plan");
  residency_ = std::move(residency);
}

void Executor::move_before(std::size_t task, StepTime& time) {
  if (!residency_) return;
  const double start = now();
  for (const plan::Source& s : residency_->tasks[task].store) store_.store(s);
  for (const plan::Source& s : residency_->tasks[task].load) store_.load(s);
  time.disk += now() - start;
}

void Executor::move_after(std::size_t task, StepTime& time) {
  if (!residency_) return;
  const double start = now();
  for (const plan::Source& s : residency_->tasks[task].store_after) store_.store(s);
  time.disk += now() - start;
}

// One decomposition serves all rotations of a ciphertext.
void Executor::make_copies(const std::vector<plan::LiveSet::Copies>& list, int limbs) {
  for (const plan::LiveSet::Copies& copies : list) {
    for (std::int64_t r : copies.rotations) store_.erase({copies.from.tensor, copies.from.phase, r});
    const Store::Blocks& from = store_.at(copies.from);
    std::vector<std::vector<ckks::Ciphertext>> rotated(from.size());
    side_by_side(
        from.size(), limbs,
        [&](std::size_t b) {
          check_stop();
          rotated[b] = evaluator_.rotate_many(ckks::unpack(ring_, from[b], limbs), copies.rotations);
        },
        [&](std::size_t b) {
          for (std::size_t k = 0; k < rotated[b].size(); ++k)
            store_.append({copies.from.tensor, copies.from.phase, copies.rotations[k]},
                          ckks::pack(ring_, std::move(rotated[b][k])));
          rotated[b].clear();
        });
  }
}

// What a slotwise task works on.
std::vector<ckks::Ciphertext> Executor::copies(const plan::Task& task) const {
  std::vector<ckks::Ciphertext> list;
  for (const auto& c : store_.at(task.taps.front().source))
    list.push_back(ckks::unpack(ring_, c, plan_.steps[task.step].limbs));
  return list;
}

void Executor::refresh(const plan::Step& step, std::vector<ckks::Ciphertext>& list,
                       const std::function<void(std::size_t)>& done) const {
  const plan::Tensor& out = plan_.tensors[step.output];
  for (std::size_t first = 0; first < list.size(); first += plan::kRefreshedTogether) {
    check_stop();
    const auto part =
        std::span(list).subspan(first, std::min<std::size_t>(plan::kRefreshedTogether, list.size() - first));
    refresher_->run(evaluator_, part, out.scale);
    for (std::size_t k = 0; k < part.size(); ++k) {
      if (part[k].limbs() > out.limbs) part[k] = evaluator_.drop_to(part[k], out.limbs);
      done(first + k);
    }
  }
}

Executor::Sources Executor::sources(const plan::Task& task) const {
  Sources sources;
  for (const plan::Tap& tap : task.taps) {
    auto& list = sources.emplace_back();
    for (const auto& c : store_.at(tap.source)) list.push_back(&c);
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
    check_stop();
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

ckks::Ciphertext Executor::finish(const plan::Step& step, bool sum_tile, ckks::Ciphertext c) const {
  if (sum_tile)
    for (std::int64_t r : plan::sum_rotations(plan_.tile * plan_.tile)) c = evaluator_.rotate_sum(c, std::array{r});
  switch (step.finish) {
    case plan::Step::Finish::square:
      c = evaluator_.square(std::move(c));
      break;
    case plan::Step::Finish::activate:
      return activate(evaluator_, std::move(c), step.activation, plan_.tensors[step.output].scale);
    case plan::Step::Finish::refresh:
      return c;
    case plan::Step::Finish::rescale:
    case plan::Step::Finish::keep:
      break;
  }
  const int limbs = plan_.tensors[step.output].limbs;
  while (c.limbs() > limbs) c = evaluator_.rescale(c);
  return c;
}

}  // namespace sotto::runtime
