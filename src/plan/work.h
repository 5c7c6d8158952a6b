#pragma once

#include "ring/ring.h"

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

/// What a thread adds beside the first, which shares caches and memory with it: measured 1.65 to 1.88 for two.
inline constexpr double kFurtherThread = 0.72;
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

}  // namespace sotto::plan
