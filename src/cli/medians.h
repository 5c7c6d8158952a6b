#pragma once

#include <algorithm>
#include <chrono>
#include <vector>

namespace sotto::cli {

/// Seconds on a clock that only goes forwards.
inline double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Seconds of each function: medians over rounds that call them in turn, so that all see the same machine.
template <class... F>
std::vector<double> medians(int rounds, F&&... functions) {
  std::vector<std::vector<double>> times(sizeof...(F));
  for (int r = 0; r < rounds; ++r) {
    std::size_t i = 0;
    const auto once = [&](auto& f) {
      const double start = now();
      f();
      times[i++].push_back(now() - start);
    };
    (once(functions), ...);
  }
  std::vector<double> out;
  for (auto& t : times) {
    std::nth_element(t.begin(), t.begin() + static_cast<std::ptrdiff_t>(t.size() / 2), t.end());
    out.push_back(t[t.size() / 2]);
  }
  return out;
}

}  // namespace sotto::cli
