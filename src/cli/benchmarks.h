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

/// The products of dense, grouped and depthwise layers at rank 2^16 on the same rotated copies, without the rotations:
/// time per product and bytes of sources per second, beside what plainly reading these sources takes. Results are
/// decoded and compared with convolutions in floating point.
std::vector<nlohmann::json> bench_layers();

/// Bootstrapping of all slots at rank 2^16 and 128 bits, one ciphertext at a time and four together; the values are
/// decrypted and compared. Layers left: levels behind the result that another bootstrapping does not need.
std::vector<nlohmann::json> bench_bootstrap();

}  // namespace sotto::cli
