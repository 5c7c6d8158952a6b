#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "plan/live_set.h"
#include "plan/switch_work.h"
#include "plan/work.h"

namespace sotto::plan {

/// What one task of the schedule does.
struct TaskWork {
  int step = 0;
  Work rotate, linear, activate;
  int copied = 0;   ///< ciphertexts of which rotated copies are made
  int results = 0;  ///< ciphertexts that are activated

  [[nodiscard]] Work total() const;
};

/// The same with the memory that it needs beside the ciphertexts that wait.
struct TaskCost {
  TaskWork work;
  std::size_t key_switches = 0;
  std::uint64_t word_limbs = 0;    ///< limbs at work, eight bytes a word
  std::uint64_t weight_bytes = 0;  ///< weights, as integers and as residues of the limb at work on each thread
};

/// The products of a task with its sources, at this level.
Work linear_work(const Plan& plan, const Task& task, int limbs);

/// Rotations by which a task sums or spreads each of its results over the tile.
int summing_rotations(const Plan& plan, const Task& task);

/// How a task rotates the sums of giant steps: each is divided by itself, or with channels in gaps all of a result at
/// once.
struct Turned {
  double alone = 0, together = 0, results = 0;

  Turned() = default;
  Turned(const Plan& plan, const Task& task);
  [[nodiscard]] Work work(const SwitchWork& at) const;
};

/// copies: those that the task makes. read: keys that earlier tasks have read; gets those of this one.
TaskCost task_cost(const Plan& plan, const Task& task, const std::vector<LiveSet::Copies>& copies,
                   std::set<ckks::KeyId>& read, int threads);

/// Packed limbs of a key.
std::uint64_t expanded_key_limbs(const Plan& plan, const ckks::KeyId& id);

}  // namespace sotto::plan
