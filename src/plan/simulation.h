#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "plan/plan.h"

namespace sotto::plan {

/// What encryption makes of images.
struct Simulated {
  std::vector<std::vector<double>> scores;  ///< by image
  std::vector<bool>
      inside;  ///< by image: whether all of its slots kept within the ranges of activations and bootstrapping
};

/// Who looks on; each may be empty.
struct SimulationHooks {
  std::function<void(std::size_t done, std::size_t of)> progress;  ///< tasks; what it throws ends the simulation
  /// The values [c][h][w] of a step's result.
  std::function<void(int tensor, std::size_t image, std::span<const double> values)> observe;
};

/// Carries a plan out in float64 as the encrypted run does, slot by slot: with the same integer plaintexts (their
/// errors are the same for all images), and with Gaussian errors for encryption, divisions, rotations and bootstrapping
/// (plan::NoiseModel, drawn from `seed`). Those of rotated copies are drawn anew for every sum that reads them,
/// although sums share copies. Images lie in the ciphertext in their order, the first one behind the last. images:
/// preprocessed, [c][h][w].
Simulated simulate(const Plan& plan, std::span<const std::vector<double>> images, std::uint64_t seed,
                   const SimulationHooks& hooks = {});

/// Multiply-adds of a simulation, about: those of its sums, and what making their plaintexts takes.
double simulation_work(const Plan& plan, std::size_t images);

}  // namespace sotto::plan
