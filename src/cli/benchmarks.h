#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace sotto::cli {

/// One benchmark of `sotto bench`. `run` gives one object per measurement: medians of several runs in one process,
/// ratios to the scalar kernels or to an NTT where a figure is stated that way, and how the result was checked. It
/// throws Error{internal} if the result is wrong.
struct Benchmark {
  std::string name;
  std::vector<nlohmann::json> (*run)();
};

const std::vector<Benchmark>& benchmarks();

}  // namespace sotto::cli
