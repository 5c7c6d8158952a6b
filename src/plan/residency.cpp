#include "plan/residency.h"

#include <algorithm>
#include <set>

namespace sotto::plan {

namespace {

class Planner {
 public:
  Planner(const Plan& plan, const Schedule& schedule) : plan_(plan), schedule_(schedule), live_(plan, schedule) {}

  Residency run(const std::function<std::uint64_t(int)>& capacity) {
    for (int t = 0; t < static_cast<int>(schedule_.tasks.size()); ++t) {
      Residency::Moves& moves = residency_.tasks.emplace_back();
      const std::uint64_t room = capacity(t);
      std::set<Source> needed;
      std::uint64_t wanted = 0;  // what the task needs, copies included
      for (const LiveSet::Copies& c : live_.copies(t)) {
        needed.insert(c.from);
        for (std::int64_t r : c.rotations) forget({c.from.tensor, c.from.phase, r});  // one with fewer limbs
      }
      live_.make_copies(t);
      for (const Tap& tap : schedule_.tasks[static_cast<std::size_t>(t)].taps) needed.insert(tap.source);
      for (const Source& s : needed) {
        wanted += live_.size(s, live_.items().at(s));
        if (on_disk_only_.contains(s)) moves.load.push_back(s);
      }
      for (const Source& s : moves.load) move(s, false, moves);
      make_room(room, needed, t, moves, moves.store);
      live_.release(t);
      forget_the_dead();
      live_.add_output(t);
      const Task& task = schedule_.tasks[static_cast<std::size_t>(t)];
      const Source output{plan_.steps[static_cast<std::size_t>(task.step)].output, task.phase, 0};
      make_room(room, {output}, t, moves, moves.store_after);
      least_ = std::max({least_, wanted, live_.size(output, live_.items().at(output))});
      residency_.possible = residency_.possible && in_memory() <= room && wanted <= room;
    }
    residency_.least_limbs = least_;
    return std::move(residency_);
  }

 private:
  void forget(const Source& s) {
    on_disk_only_.erase(s);
    stored_.erase(s);
  }
  [[nodiscard]] std::uint64_t in_memory() const {
    std::uint64_t limbs = 0;
    for (const auto& [item, held] : live_.items())
      if (!on_disk_only_.contains(item)) limbs += live_.size(item, held);
    return limbs;
  }
  void move(const Source& s, bool store, Residency::Moves& moves) {
    if (!store || stored_.insert(s).second) moves.limbs += live_.size(s, live_.items().at(s));
    if (store)
      on_disk_only_.insert(s);
    else
      on_disk_only_.erase(s);
  }
  // Stores what is read last until the rest fits.
  void make_room(std::uint64_t room, const std::set<Source>& keep, int t, Residency::Moves& moves,
                 std::vector<Source>& stores) {
    std::uint64_t used = in_memory();
    while (used > room) {
      const Source* victim = nullptr;
      int farthest = -1;
      for (const auto& [item, held] : live_.items()) {
        if (keep.contains(item) || on_disk_only_.contains(item)) continue;
        if (const int next = live_.next_use(item, t); next > farthest) {
          farthest = next;
          victim = &item;
        }
      }
      if (victim == nullptr) return;
      used -= live_.size(*victim, live_.items().at(*victim));
      stores.push_back(*victim);
      move(*victim, true, moves);
    }
  }
  void forget_the_dead() {
    const auto dead = [&](const Source& s) { return !live_.items().contains(s); };
    std::erase_if(on_disk_only_, dead);
    std::erase_if(stored_, dead);
  }

  const Plan& plan_;
  const Schedule& schedule_;
  LiveSet live_;
  std::set<Source> on_disk_only_, stored_;
  Residency residency_;
  std::uint64_t least_ = 0;
};

}  // namespace

Residency plan_residency(const Plan& plan, const Schedule& schedule,
                         const std::function<std::uint64_t(int task)>& capacity) {
  return Planner(plan, schedule).run(capacity);
}

}  // namespace sotto::plan
