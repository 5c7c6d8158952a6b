#include "plan/live_set.h"

#include <algorithm>
#include <optional>
#include <set>

namespace sotto::plan {

LiveSet::LiveSet(const Plan& plan, const Schedule& schedule) : plan_(plan), schedule_(schedule) {
  const Layout& in = plan.input().layout;
  for (int p = 0; p < in.phase_count(); ++p) {
    fresh_.push_back({0, p, 0});
    hold(fresh_.back(), plan.input().level);
  }
}

void LiveSet::hold(const Source& item, const ckks::Level& level) {
  const auto [at, added] = items_.try_emplace(item);
  total_ += size(item, level) - size(item, at->second);
  at->second = level;
  if (level.count() == 0) items_.erase(at);
}

std::vector<LiveSet::Copies> LiveSet::copies(int t) const {
  std::vector<Copies> list;
  std::map<Source, std::size_t> index;
  std::set<Source> listed;
  const Task& task = schedule_.tasks[static_cast<std::size_t>(t)];
  const ckks::Level& level = plan_.steps[static_cast<std::size_t>(task.step)].level;
  const auto make = [&](const Tap& tap, const auto& itself) -> void {
    const auto there = items_.find(tap.source);
    if (tap.source.rotation == 0 || (there != items_.end() && there->second.covers(level))) return;
    if (!listed.insert(tap.source).second) return;
    Tap before = tap;
    before.source = made_from(plan_, tap);
    itself(before, itself);
    const auto [at, added] = index.try_emplace(before.source, list.size());
    if (added) list.push_back({before.source, {}});
    list[at->second].rotations.push_back(tap.source.rotation);
  };
  for (const Tap& tap : task.taps) make(tap, make);
  return list;
}

void LiveSet::make_copies(int t) {
  const ckks::Level& level =
      plan_.steps[static_cast<std::size_t>(schedule_.tasks[static_cast<std::size_t>(t)].step)].level;
  for (const Copies& c : copies(t))
    for (std::int64_t r : c.rotations) hold({c.from.tensor, c.from.phase, r}, level);
}

// Only what task t read, and what is new, can be needed less than before.
void LiveSet::release(int t) {
  for (const Tap& tap : schedule_.tasks[static_cast<std::size_t>(t)].taps) {
    fresh_.push_back(tap.source);
    fresh_.push_back(made_from(plan_, tap));
    fresh_.push_back({tap.source.tensor, tap.source.phase, 0});
  }
  for (const Source& item : fresh_) {
    const auto found = items_.find(item);
    // Scores are read by nobody here.
    if (found == items_.end() || item.tensor == plan_.steps.back().output) continue;
    std::optional<ckks::Level> needed;
    if (const auto uses = schedule_.uses.find(item); uses != schedule_.uses.end())
      for (auto use = uses->second.rbegin(); use != uses->second.rend() && use->first > t; ++use)
        needed = needed ? ckks::join(*needed, use->second) : use->second;
    if (!needed) {
      hold(item, 0);
    } else if (const ckks::Level level = ckks::meet(found->second, *needed); level != found->second) {
      hold(item, level);
    }
  }
  fresh_.clear();
}

void LiveSet::add_output(int t) {
  const Task& task = schedule_.tasks[static_cast<std::size_t>(t)];
  const int tensor = plan_.steps[static_cast<std::size_t>(task.step)].output;
  fresh_.push_back({tensor, task.phase, 0});
  hold(fresh_.back(), plan_.tensors[static_cast<std::size_t>(tensor)].level);
}

std::uint64_t LiveSet::size(const Source& item, const ckks::Level& level) const {
  const int blocks = plan_.tensors[static_cast<std::size_t>(item.tensor)].layout.blocks();
  return 2 * static_cast<std::uint64_t>(level.count()) * static_cast<std::uint64_t>(blocks);
}

int LiveSet::next_use(const Source& item, int t) const {
  const auto uses = schedule_.uses.find(item);
  if (uses != schedule_.uses.end())
    for (const auto& [task, level] : uses->second)
      if (task > t) return task;
  return static_cast<int>(schedule_.tasks.size());
}

}  // namespace sotto::plan
