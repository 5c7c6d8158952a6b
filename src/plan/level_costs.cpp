#include "plan/level_costs.h"

#include <cmath>
#include <set>

#include "plan/switch_work.h"

namespace sotto::plan {

LevelCosts::LevelCosts(const Plan& plan) : plan_(plan), steps_(plan.steps.size()) {
  const auto blocks = [&](int tensor) { return plan.tensors[static_cast<std::size_t>(tensor)].layout.blocks(); };
  std::set<Source> made;
  for (const Task& task : make_schedule(plan).tasks) {
    const Step& step = plan.steps[static_cast<std::size_t>(task.step)];
    Counts& counts = steps_[static_cast<std::size_t>(task.step)];
    const double results = blocks(step.output);
    counts.results += results;
    if (step.slotwise()) continue;
    std::map<Source, int> copies;  // new ones, by what they are made from
    for (Tap tap : task.taps)
      while (tap.source.rotation != 0 && made.insert(tap.source).second) {
        tap.source = made_from(plan, tap);
        ++copies[tap.source];
      }
    for (const auto& [from, count] : copies) counts.copied[count] += blocks(from.tensor);
    const Turned turned(plan, task);
    counts.turned.alone += turned.alone;
    counts.turned.together += turned.together;
    counts.turned.results += turned.results;
    counts.summed += results * summing_rotations(plan, task);
    // Linear in the limbs: what none take, and what each adds.
    const Work fixed = linear_work(plan, task, 0);
    counts.embedding += fixed;
    counts.products += linear_work(plan, task, 1);
    counts.products += fixed * -1;
  }
}

Work LevelCosts::at(int step, const ckks::Level& level, const std::function<int(int)>& special) const {
  const Counts& counts = steps_[static_cast<std::size_t>(step)];
  const SwitchWork sw{std::ldexp(1.0, plan_.parameters.log_n), level, special(level.limbs)};
  Work work = counts.embedding;
  work += counts.products * level.count();
  for (const auto& [count, ciphertexts] : counts.copied) work += sw.rotations(count) * ciphertexts;
  work += counts.turned.work(sw);
  work += sw.rotations(1) * counts.summed;
  return work += finishing_work(plan_, plan_.steps[static_cast<std::size_t>(step)], level, special) * counts.results;
}

}  // namespace sotto::plan
