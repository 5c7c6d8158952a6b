#include "runtime/batch_run.h"

#include <tbb/task_arena.h>

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "base/parallel.h"
#include "plan/in_flight.h"
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

BatchRun::BatchRun(const Model& model, ckks::KeyProvider& keys, RunOptions options)
    : model_(model),
      plan_(model.plan()),
      ring_(*model.ring()),
      keys_(keys),
      options_(std::move(options)),
      evaluator_(model.parameters(), model.ring(), plan_.keys.tiers, &keys),
      probes_(plan_, evaluator_),
      store_(ring_, options_.scratch) {
  if (options_.residency)
    check(options_.residency->tasks.size() == model.schedule().tasks.size(), "moves for another plan");
}

std::vector<ckks::Ciphertext> BatchRun::execute(std::vector<ckks::PackedCiphertext> input) {
  const plan::Layout& layout = plan_.input().layout;
  check(input.size() == static_cast<std::size_t>(layout.ciphertexts()), "wrong number of input ciphertexts");
  store_.clear();
  times_.assign(plan_.steps.size(), {});
  probes_.clear();
  for (const ckks::PackedCiphertext& c : input)
    if (probes_.watches(0)) {
      const ckks::Level level = plan_.parameters.whole(plan::kMostProbeLimbs);
      probes_.add(0, ckks::unpack(ring_, c, {std::min(c.limbs(), level.limbs), level.absent}));
    }
  for (std::size_t k = 0; k < input.size(); ++k)
    store_.append({0, static_cast<int>(k) / layout.blocks(), 0}, std::move(input[k]));

  plan::LiveSet live(plan_, model_.schedule());
  const std::size_t tasks = model_.schedule().tasks.size();
  for (std::size_t t = 0; t < tasks; ++t) run_task(t, live);
  show(tasks, plan_.steps.size() - 1, 0);
  std::vector<ckks::Ciphertext> scores;
  for (int phase = 0; phase < plan_.output().layout.phase_count(); ++phase)
    for (const auto& c : store_.at({plan_.steps.back().output, phase, 0}))
      scores.push_back(ckks::unpack(ring_, c, c.level()));
  return scores;
}

void BatchRun::run_task(std::size_t t, plan::LiveSet& live) {
  check_stop();
  const plan::Task& task = model_.schedule().tasks[t];
  const plan::Step& step = plan_.steps[task.step];
  const int index = static_cast<int>(t);
  StepTime& time = times_[task.step];
  show(t, static_cast<std::size_t>(task.step), 0);
  move_before(t, time);
  const double start = now();
  const auto keys = plan::keys_of(plan_, task);
  keys_.prepare(std::vector(keys.begin(), keys.end()));
  make_copies(live.copies(index), step.level);
  live.make_copies(index);
  time.rotate += now() - start;
  std::vector<ckks::Ciphertext> sums =
      step.slotwise() ? copies(task, task.taps.front()) : this->sums(task, sources(task), time);
  std::vector<ckks::Ciphertext> factors;  // of a product: its second operand
  if (step.kind == plan::Kind::multiply) factors = copies(task, task.taps.back());
  live.release(index);
  store_.retain(live.items());
  move_after(t, time);
  const double added = now();
  finish_task(t, sums, factors);
  live.add_output(index);
  time.activate += now() - added;
  if (options_.observe) options_.observe(step.output, task.phase, store_.at({step.output, task.phase, 0}));
  if (options_.key_done)
    for (const ckks::KeyId& id : model_.last_used(t)) options_.key_done(id);
}

// From sums, or copies of operands, to what the task makes, which goes to the store.
void BatchRun::finish_task(std::size_t t, std::vector<ckks::Ciphertext>& sums,
                           const std::vector<ckks::Ciphertext>& factors) {
  const plan::Task& task = model_.schedule().tasks[t];
  const plan::Step& step = plan_.steps[task.step];
  const auto done = [&](std::size_t k) {
    probes_.add(step.output, sums[k]);
    store_.append({step.output, task.phase, 0}, ckks::pack(ring_, std::move(sums[k])));
    // Activating or bootstrapping a phase takes minutes.
    if (step.slotwise())
      show(t, static_cast<std::size_t>(task.step), static_cast<double>(k + 1) / static_cast<double>(sums.size()));
  };
  if (step.kind == plan::Kind::bootstrap) return bootstrap(step, sums, done);
  const bool sum_tile = sums_tile(plan_, task);
  side_by_side(
      sums.size(), step.level.count(),
      [&](std::size_t k) {
        check_stop();
        sums[k] = finish(step, sum_tile, std::move(sums[k]), factors.empty() ? nullptr : &factors[k]);
      },
      done);
}

// part: of the task that is done, 0 .. 1.
void BatchRun::show(std::size_t task, std::size_t step, double part) const {
  if (!options_.progress) return;
  const std::size_t tasks = model_.schedule().tasks.size();
  const double before = model_.work_before(task);
  const double more = part > 0 ? part * (model_.work_before(task + 1) - before) : 0;
  options_.progress({task, tasks, static_cast<int>(step), before + more});
}

void BatchRun::check_stop() const {
  if (options_.stop != nullptr && options_.stop->load())
    throw Error(ErrorCode::interrupted, "interrupted; no output was written");
}

void BatchRun::move_before(std::size_t task, StepTime& time) {
  if (!options_.residency) return;
  const double start = now();
  for (const plan::Source& s : options_.residency->tasks[task].store) store_.store(s);
  for (const plan::Source& s : options_.residency->tasks[task].load) store_.load(s);
  time.disk += now() - start;
}

void BatchRun::move_after(std::size_t task, StepTime& time) {
  if (!options_.residency) return;
  const double start = now();
  for (const plan::Source& s : options_.residency->tasks[task].store_after) store_.store(s);
  time.disk += now() - start;
}

// One ModUp serves all copies that are made from one ciphertext.
void BatchRun::make_copies(const std::vector<plan::LiveSet::Copies>& list, const ckks::Level& level) {
  for (const plan::LiveSet::Copies& copies : list) {
    for (std::int64_t r : copies.rotations) store_.erase({copies.from.tensor, copies.from.phase, r});
    const Store::Blocks& from = store_.at(copies.from);
    std::vector<std::int64_t> further;  // than what they are made from
    for (std::int64_t r : copies.rotations) further.push_back(r - copies.from.rotation);
    std::vector<std::vector<ckks::Ciphertext>> rotated(from.size());
    side_by_side(
        from.size(), level.count(),
        [&](std::size_t b) {
          check_stop();
          rotated[b] = evaluator_.rotate_many(ckks::unpack(ring_, from[b], level), further);
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
std::vector<ckks::Ciphertext> BatchRun::copies(const plan::Task& task, const plan::Tap& of) const {
  std::vector<ckks::Ciphertext> list;
  for (const auto& c : store_.at(of.source)) list.push_back(ckks::unpack(ring_, c, plan_.steps[task.step].level));
  return list;
}

void BatchRun::bootstrap(const plan::Step& step, std::vector<ckks::Ciphertext>& list,
                         const std::function<void(std::size_t)>& done) const {
  const plan::Tensor& out = plan_.tensors[step.output];
  for (std::size_t first = 0; first < list.size(); first += plan::kBootstrappedTogether) {
    check_stop();
    const auto part =
        std::span(list).subspan(first, std::min<std::size_t>(plan::kBootstrappedTogether, list.size() - first));
    model_.bootstrapper()->run(evaluator_, part, out.scale);
    for (std::size_t k = 0; k < part.size(); ++k) {
      if (part[k].level() != out.level) part[k] = evaluator_.drop_to(part[k], out.level);
      done(first + k);
    }
  }
}

BatchRun::Sources BatchRun::sources(const plan::Task& task) const {
  Sources sources;
  for (const plan::Tap& tap : task.taps) {
    auto& list = sources.emplace_back();
    for (const auto& c : store_.at(tap.source)) list.push_back(&c);
  }
  return sources;
}

// The linear part of a task: one ciphertext per block of output channels.
std::vector<ckks::Ciphertext> BatchRun::sums(const plan::Task& task, const Sources& sources, StepTime& time) const {
  if (plan::fills_gaps(plan_, plan_.steps[task.step])) return giant_steps_in_gaps(task, sources, time);
  if (model_.single() != nullptr) {
    const double start = now();
    auto result = model_.single()->run(task, sources);
    time.linear += now() - start;
    return result;
  }
  std::vector<ckks::Ciphertext> result;
  const int blocks = plan_.tensors[plan_.steps[task.step].output].layout.blocks();
  result.reserve(static_cast<std::size_t>(blocks));
  for (int b = 0; b < blocks; ++b) result.push_back(giant_steps(task, sources, b, time));
  return result;
}

// Horner's rule over giant steps, from both ends towards step 0, so that one key serves each direction.
ckks::Ciphertext BatchRun::giant_steps(const plan::Task& task, const Sources& sources, int block,
                                       StepTime& time) const {
  const std::int64_t rotation = plan::giant_rotation(plan_, plan_.steps[task.step]);
  const auto add_sum = [&](std::optional<ckks::Ciphertext> so_far, int giant) {
    check_stop();
    const double start = now();
    auto sum = model_.grouped()->run(task, sources, block, giant);
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

// With channels in gaps: for all blocks together, whose sums share the reading of their sources. What is rotated is
// divided once.
std::vector<ckks::Ciphertext> BatchRun::giant_steps_in_gaps(const plan::Task& task, const Sources& sources,
                                                            StepTime& time) const {
  const plan::Step& step = plan_.steps[task.step];
  const auto blocks = static_cast<std::size_t>(plan_.tensors[step.output].layout.blocks());
  std::vector<ckks::Ciphertext> result;
  std::vector<ckks::Extended> totals;
  plan::for_each_giant_rows(plan_, task, [&](std::span<const plan::GiantRow> rows) {
    check_stop();
    const double start = now();
    std::vector<ckks::Ciphertext> sums = model_.single()->run_giants(task, sources, rows);
    const double multiplied = now();
    time.linear += multiplied - start;
    if (task.turned_sums == 0) {
      std::ranges::move(sums, std::back_inserter(result));
      return;
    }
    while (totals.size() < blocks) totals.push_back(evaluator_.empty_sum(step.level));
    side_by_side(
        blocks, step.level.count(),
        [&](std::size_t b) {
          for (std::size_t r = 0; r < rows.size(); ++r) {
            if (rows[r].block != static_cast<int>(b)) continue;
            check_stop();
            evaluator_.add_rotated(sums[r], rows[r].giant, totals[b]);
          }
        },
        [](std::size_t) {});
    time.rotate += now() - multiplied;
  });
  const double added = now();
  for (ckks::Extended& total : totals) result.push_back(evaluator_.divided(std::move(total), step.scale));
  time.rotate += now() - added;
  return result;
}

ckks::Ciphertext BatchRun::finish(const plan::Step& step, bool sum_tile, ckks::Ciphertext c,
                                  const ckks::Ciphertext* factor) const {
  const ckks::Level& level = plan_.tensors[step.output].level;
  const auto rotations = plan::sum_rotations(plan_.tile.area());
  if (sum_tile)
    for (std::int64_t r : rotations) c = evaluator_.rotate_sum(c, std::array{r});
  if (step.spread)
    for (std::int64_t r : rotations) c = evaluator_.rotate_sum(c, std::array{-r});
  switch (step.kind) {
    case plan::Kind::square:
      if (step.early > 0) c = evaluator_.rescale(std::move(c), plan::levels_of(plan_, step).product);
      return evaluator_.square(std::move(c), level);
    case plan::Kind::multiply:
      return evaluator_.multiply(c, *factor, level);
    case plan::Kind::activate:
      return activate(evaluator_, std::move(c), step.activation, plan_.tensors[step.output].scale);
    case plan::Kind::bootstrap:
      return c;
    case plan::Kind::sum:
      break;
  }
  return step.late > 0 ? evaluator_.rescale(std::move(c), level) : std::move(c);
}

}  // namespace sotto::runtime
