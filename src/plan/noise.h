#pragma once

#include <cstdint>
#include <vector>

#include "plan/plan.h"
#include "plan/schedule.h"

namespace sotto::plan {

/// Standard deviations, in slots, of the errors that encrypted arithmetic makes (docs/adr/0004).
struct NoiseModel {
  /// Rounding of a weight's plaintext, before scaling. Its coefficients are those of the mask times the weight; one
  /// that is zero stays exact, the others err by sqrt(1/12) each, which a slot sees sqrt(2) times but for the constant
  /// one. An empty mask stands for all ones.
  static double weight(const std::vector<std::uint8_t>& mask, std::size_t period);
  /// Rounding of a division by primes, n-dimensional ring, dense ternary secret: 2 n / sqrt(18) before scaling.
  static double rounding(int log_n);
  /// A bootstrapping, against the peak of what slots may hold: measured at rank 2^16 (sotto bench bootstrap), without
  /// the cubic error of the sine.
  static double bootstrap();
  /// A fresh encryption with a public key: the rounding of its division (docs/adr/0029). One under the secret key errs
  /// less, by sqrt(2 n (sigma^2 + 1/12)).
  static double encryption(int log_n);
};

/// What rounding the weights of one term does to the sums of its step, in units of the weights' last place.
struct WeightNoise {
  /// Of an input channel on an output channel.
  struct Pair {
    int out = 0, in = 0;
    double variance = 0;
  };
  /// For an input of 1, mean over the output's pixels, of plaintexts whose errors differ from slot to slot: those with
  /// masks, or with several channels.
  std::vector<Pair> spread;
  /// Share of the output's pixels, by tap, whose plaintext is a constant: there the weight itself is rounded.
  std::vector<double> constant;
  /// What rounding so that errors cancel (plan/rounding.h) leaves of the input's mean square, by channel; empty: all.
  std::vector<double> left;
};

/// By tensor: how often what the taps of its readers read was rotated, in the mean. Rotating adds the error of a
/// division, another one for every copy.
std::vector<double> rotated_share(const Plan& plan, const Schedule& schedule);

/// By step and term.
std::vector<std::vector<WeightNoise>> weight_noise(const Plan& plan, const Schedule& schedule);

}  // namespace sotto::plan
