#pragma once

#include <cstdint>
#include <optional>
#include <thread>
#include <vector>

#include "plan/plan.h"
#include "plan/residency.h"

namespace sotto::plan {

/// Seconds that the elementary operations take on this machine, one thread.
struct Speed {
  double transform = 0;  ///< one NTT or inverse NTT of the ring's n words
  double layer_mac = 0;  ///< one multiply-add of a convolution product
  double basis_mac = 0;  ///< one multiply-add of a base conversion
  double pointwise = 0;  ///< one word of an element-wise operation on data out of cache
  double threads = 1;    ///< of the run; together they are speed_up() times as fast as one
  double fresh = 0;      ///< one byte of memory that the system gives to the process for the first time
  double weight = 0;     ///< one word of weights: an integer reduced and transformed
  double embedding = 0;  ///< one word of a floating-point embedding, per level of the transform
  double key_byte = 0;   ///< one byte of a key that is read from a file, expanded and stored
  double disk = 0;       ///< one byte written to a scratch file or read from it, by all threads together
};

/// What a thread adds beside the first, which shares caches and memory with it: measured 1.76 to 1.88 for two.
inline constexpr double kFurtherThread = 0.8;
constexpr double speed_up(double threads) { return 1 + kFurtherThread * (threads - 1); }

/// A typical processor with two threads, for progress bars and the choice between packings.
inline constexpr Speed kTypicalSpeed{.transform = 8e-5,
                                     .layer_mac = 6.5e-11,
                                     .basis_mac = 7e-11,
                                     .pointwise = 3e-10,
                                     .threads = 2,
                                     .fresh = 1.2e-9,
                                     .weight = 1.5e-9,
                                     .embedding = 1.5e-9,
                                     .key_byte = 3e-9,
                                     .disk = 1.5e-9};

/// Times the kernels of this process on a ring of rank 2^log_n (well under a second).
Speed measure_speed(int log_n, ring::RingKind kind, int threads);

/// Elementary operations of a step.
struct Work {
  double transforms = 0, layer_macs = 0, basis_macs = 0, words = 0, fresh_bytes = 0;
  double weights = 0, embedded_words = 0, key_bytes = 0, disk_bytes = 0;

  Work& operator+=(const Work& o);
  Work operator*(double times) const;
  [[nodiscard]] double seconds(const Speed& speed) const;
};

/// A plan interpreted as cost.
struct Cost {
  struct Step {
    Work rotate, linear, activate;
    Work memory;  ///< growth beyond what earlier steps used
    std::size_t key_switches = 0;
    std::uint64_t peak_bytes = 0;  ///< most memory in use during the step

    [[nodiscard]] Work total() const;
    [[nodiscard]] double seconds(const Speed& speed) const;
  };
  /// What one task of the schedule does.
  struct Task {
    int step = 0;
    Work rotate, linear, activate;
    int copied = 0;   ///< ciphertexts of which rotated copies are made
    int results = 0;  ///< ciphertexts that are activated

    [[nodiscard]] Work total() const;
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

/// Walks through the schedule as the executor does, counting instead of computing. threads: of the run; each holds the
/// weights of one limb of a layer. memory_limit: bytes that the process may use, 0: no limit.
Cost estimate(const Plan& plan, int threads = static_cast<int>(std::thread::hardware_concurrency()),
              std::uint64_t memory_limit = 0);

}  // namespace sotto::plan
