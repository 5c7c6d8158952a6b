#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/parallel.h"
#include "plan/plan.h"
#include "plan/residency.h"
#include "plan/schedule.h"
#include "plan/task_cost.h"
#include "plan/work.h"

namespace sotto::plan {

/// A plan interpreted as cost.
struct Cost {
  using Task = TaskWork;
  struct Step {
    Work rotate, linear, activate;
    Work memory;  ///< growth beyond what earlier steps used
    std::size_t key_switches = 0;
    std::uint64_t peak_bytes = 0;  ///< most memory in use during the step

    [[nodiscard]] Work total() const;
    [[nodiscard]] double seconds(const Speed& speed) const;
  };
  std::vector<Step> steps;
  std::vector<Task> tasks;             ///< in the order of the schedule
  std::uint64_t peak_bytes = 0;        ///< of the inference process: ciphertexts, keys in memory, tables
  std::uint64_t least_bytes = 0;       ///< the same, or with a limit the least one with which the run is possible
  std::optional<Residency> residency;  ///< with a limit below the peak: what is moved to a scratch file and back
  std::uint64_t all_keys_bytes = 0;    ///< keys of all levels in memory at once
  std::uint64_t eval_key_bytes = 0;    ///< size of eval.key
  std::uint64_t input_bytes = 0;       ///< size of the input file per batch
  std::uint64_t output_bytes = 0;      ///< size of the output file per batch

  [[nodiscard]] double seconds(const Speed& speed) const;
};

/// Walks through the schedule as a run does, counting instead of computing. threads: of the run; each holds the
/// weights of one limb of a layer. memory_limit: bytes that the process may use, 0: no limit.
Cost estimate(const Plan& plan, int threads = available_threads(), std::uint64_t memory_limit = 0);

/// The same with the plan's schedule, where that is at hand.
Cost estimate(const Plan& plan, const Schedule& schedule, int threads = available_threads(),
              std::uint64_t memory_limit = 0);

}  // namespace sotto::plan
