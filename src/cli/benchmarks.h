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

/// Bootstrapping of all slots at rank 2^16 and 128 bits, one ciphertext at a time and four together; the values are
/// decrypted and compared. Layers left: levels behind the result that another bootstrapping does not need.
std::vector<nlohmann::json> bench_bootstrap();

}  // namespace sotto::cli
