#pragma once

#include <tbb/blocked_range.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>

#include <cstddef>

namespace sotto {

/// Threads that loops run on: those of the machine, or fewer where the program limits them.
inline int available_threads() {
  return static_cast<int>(tbb::global_control::active_value(tbb::global_control::max_allowed_parallelism));
}

/// Runs body(i) for i in [0, count) on all threads of the current TBB arena. Bodies may nest further loops.
template <class F>
void parallel_for(std::size_t count, F&& body) {
  tbb::parallel_for(
      tbb::blocked_range<std::size_t>(0, count, 1),
      [&](const tbb::blocked_range<std::size_t>& r) {
        for (std::size_t i = r.begin(); i != r.end(); ++i) body(i);
      },
      tbb::simple_partitioner{});
}

}  // namespace sotto
