#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "training/example.h"
#include "training/spec.h"
#include "training/step.h"

namespace sotto::training {

/// Weights and velocities between two steps, by parameter.
struct State {
  std::vector<std::vector<double>> weights, velocities;
};

State initial_state(const Step& step);

/// Whether what a step found can be believed where it was computed on ciphertexts: weights and velocities within the
/// range of the spec, and losses of images within that of its loss. worst: the largest of these.
bool in_range(const State& state, double worst, const Spec& spec);

/// A line about the first step, from 0, whose results left the range; empty for -1.
std::string overflow_note(int step, const Spec& spec);

/// A line about images whose values left the range of layers that run once for every image, spoiled: and took the
/// others of their run along; empty if there are none.
std::string range_note(std::size_t images, bool spoiled);

/// The training step in float64: the oracle of encrypted training.
class Twin {
 public:
  /// Both must outlive it.
  Twin(const Step& step, const Spec& spec) : step_(step), spec_(spec) {}

  /// What a step found.
  struct Result {
    double loss = 0;            ///< mean over the images of half the summed squared errors
    double worst = 0;           ///< that of the worst image; infinite if it is no number
    std::vector<double> peaks;  ///< by value of the step: largest magnitude
  };

  /// Trains `state` on a batch; `number` is that of the step, for the schedule.
  Result train(State& state, std::span<const Example* const> batch, int number) const;

  /// The gradients of a batch, summed over its images, by parameter.
  std::vector<std::vector<double>> gradients(const State& state, std::span<const Example* const> batch,
                                             Result* result = nullptr) const;

 private:
  const Step& step_;
  const Spec& spec_;
};

}  // namespace sotto::training
