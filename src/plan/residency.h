#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "plan/live_set.h"

namespace sotto::plan {

/// What is moved between memory and a scratch file so that a run keeps to a cap.
struct Residency {
  struct Moves {
    std::vector<Source> store, load;  ///< before the task makes its copies; stores come first
    std::vector<Source> store_after;  ///< after the task's sums, before its output
    std::uint64_t limbs = 0;          ///< packed limbs written and read
  };
  std::vector<Moves> tasks;
  std::uint64_t least_limbs = 0;  ///< the least capacity with which the run is possible
  bool possible = true;
};

/// Plans the moves for `capacity(t)` packed limbs of ciphertexts at task t: a task needs its sources and copies in
/// memory, and what is read last goes first (Belady). What was stored once and has not changed need not be stored
/// again.
Residency plan_residency(const Plan& plan, const Schedule& schedule,
                         const std::function<std::uint64_t(int task)>& capacity);

}  // namespace sotto::plan
