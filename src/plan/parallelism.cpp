#include "plan/parallelism.h"

#include <algorithm>
#include <vector>

#include "plan/in_flight.h"
#include "plan/schedule.h"

namespace sotto::plan {

namespace {

constexpr int kEndless = 1 << 20;

// Work of `ciphertexts` equal ciphertexts, several in flight, in pieces of one limb of one of two polynomials.
double switching_seconds(double one_thread, int ciphertexts, int limbs, int threads) {
  const int count = std::max(1, ciphertexts), at_once = std::min(in_flight(limbs, threads), count);
  const double waves = (count + at_once - 1) / at_once, rounds = (2 * at_once * limbs + threads - 1) / threads;
  return waves * rounds * one_thread / (2.0 * count * limbs);
}

double task_seconds(const Plan& plan, const Cost::Task& task, Speed speed, int threads) {
  speed.threads = 1;
  const Step& step = plan.steps[static_cast<std::size_t>(task.step)];
  // The giant steps of one block depend on each other.
  const int sources = plan.group() == 1 ? task.copied : 1;
  const double pieces = static_cast<double>(step_period(plan, step)) * step.level.count();
  return switching_seconds(task.rotate.seconds(speed), sources, step.level.count(), threads) +
         task.linear.seconds(speed) / std::min<double>(threads, pieces) +
         switching_seconds(task.activate.seconds(speed), task.results, step.level.count(), threads);
}

}  // namespace

double seconds_with(const Plan& plan, const Cost& cost, const Speed& speed, int threads) {
  double sum = 0;
  for (const Cost::Task& task : cost.tasks) sum += task_seconds(plan, task, speed, threads);
  Speed alone = speed;
  alone.threads = 1;
  for (const Cost::Step& s : cost.steps) sum += s.memory.seconds(alone) / threads;
  return sum * threads / speed_up(threads);
}

double critical_path(const Plan& plan, const Cost& cost, const Speed& speed) {
  std::vector<double> longest(plan.steps.size());
  for (const Cost::Task& task : cost.tasks) {
    double& step = longest[static_cast<std::size_t>(task.step)];
    step = std::max(step, task_seconds(plan, task, speed, kEndless));
  }
  double sum = 0;
  for (double s : longest) sum += s;
  return sum;
}

}  // namespace sotto::plan
