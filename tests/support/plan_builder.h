#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "plan/plan.h"
#include "plan/schedule.h"
#include "ring/primes.h"
#include "support/values.h"

namespace sotto::test {

/// Small plans over toy rings, with random weights and scales as the compiler sets them. Biases are per channel or per
/// pixel. The group of the input is that of all tensors.
class PlanBuilder {
 public:
  plan::Plan plan;
  int baby = 1;  ///< of the steps that follow

  PlanBuilder(int log_n, int tile, plan::Layout input, int limbs, int level_primes = 1)
      : level_bits_(level_primes == 1 ? 48 : 30 * level_primes) {
    plan.network = "test.onnx";
    plan.parameters = {.log_n = log_n,
                       .kind = ring::RingKind::conjugate_invariant,
                       .ciphertext_primes = limbs,
                       .special_primes = 3,
                       .prime_bits = level_bits_ / level_primes};
    plan.level_primes = level_primes;
    plan.tile = tile;
    plan.batch = (1 << log_n) / (tile * tile * input.group);
    primes_ =
        ring::largest_primes(static_cast<std::size_t>(limbs), plan.parameters.prime_bits, std::uint64_t{4} << log_n);
    plan.tensors.push_back({"image", input, limbs, 0x1p22});
    const auto channels = static_cast<std::size_t>(input.channels);
    plan.io = {input.channels,
               input.height,
               input.width,
               std::vector<double>(channels, 0.25),
               std::vector<double>(channels, 0.5),
               {},
               0};
    plan.keys.tiers = {{limbs, 3}, {2, 1}};
    // Sources of small scale are rotated here: the noise of a switch must vanish.
    if (input.group > 1) plan.keys.tiers[1].special = 2;
  }

  plan::Term convolution(int source, int out_channels, int kernel, int stride, int pad) {
    const auto in = static_cast<std::size_t>(plan.tensors[static_cast<std::size_t>(source)].layout.channels);
    const auto taps = static_cast<std::size_t>(kernel) * static_cast<std::size_t>(kernel);
    return {plan::Term::Kind::convolution,
            source,
            kernel,
            kernel,
            stride,
            stride,
            pad,
            pad,
            random_values(static_cast<std::size_t>(out_channels) * in * taps, ++seed_, 0.4)};
  }

  plan::Term full(int source, int outputs) {
    const plan::Layout& in = plan.tensors[static_cast<std::size_t>(source)].layout;
    const std::size_t inputs = static_cast<std::size_t>(in.channels) * static_cast<std::size_t>(in.height * in.width);
    return {plan::Term::Kind::full,
            source,
            1,
            1,
            1,
            1,
            0,
            0,
            random_values(static_cast<std::size_t>(outputs) * inputs, ++seed_, 0.1)};
  }

  /// Returns the index of the step's output.
  int step(std::vector<plan::Term> terms, plan::Layout out, plan::Step::Finish finish, bool bias_per_pixel = false) {
    using enum plan::Step::Finish;
    int limbs = 1000;
    for (const plan::Term& t : terms) limbs = std::min(limbs, plan.tensors[static_cast<std::size_t>(t.source)].limbs);
    const double scale = std::exp2(finish == rescale ? 22 + level_bits_ : (22 + level_bits_) / 2);
    const double q = plan::level_modulus(plan, primes_, limbs);
    const double result = finish == square ? scale * scale / q : finish == rescale ? scale / q : scale;
    out.group = plan.group();
    const std::size_t biases = static_cast<std::size_t>(out.channels) *
                               (bias_per_pixel ? static_cast<std::size_t>(out.height * out.width) : 1);
    const int id = static_cast<int>(plan.tensors.size());
    plan.tensors.push_back({"t" + std::to_string(id), out, limbs - (finish == keep ? 0 : plan.level_primes), result});
    plan.steps.push_back({"layer" + std::to_string(id), id, std::move(terms), random_values(biases, ++seed_, 0.5),
                          finish, limbs, scale, baby});
    return id;
  }

  /// The plan with its keys and identity, verified.
  plan::Plan build() {
    plan.io.outputs = plan.tensors.back().layout.channels;
    plan.keys.keys = plan::required_keys(plan, plan::make_schedule(plan));
    plan.id = plan::plan_id(plan);
    plan::verify(plan);
    return plan;
  }

 private:
  int level_bits_;
  std::vector<std::uint64_t> primes_;
  unsigned seed_ = 1;
};

/// Weights between a channel and itself only, as a shortcut or an average has.
inline plan::Term diagonal(plan::Term t, int channels) {
  const std::size_t taps = t.weights.size() / static_cast<std::size_t>(channels * channels);
  for (std::size_t k = 0; k < t.weights.size(); ++k)
    if (k / taps % static_cast<std::size_t>(channels) != k / taps / static_cast<std::size_t>(channels))
      t.weights[k] = 0;
  return t;
}

/// A residual block over four phases with a projection, a mean and class names: every kind of step and term.
inline plan::Plan small_plan(int log_n = 8) {
  using enum plan::Step::Finish;
  PlanBuilder b(log_n, 4, {2, 8, 8, 2, 1}, 5);
  const int x = b.step({b.convolution(0, 2, 3, 1, 1)}, {2, 8, 8, 2, 1}, square, true);
  const int y = b.step({b.convolution(x, 3, 3, 2, 1)}, {3, 4, 4, 1, 1}, rescale, true);
  const int z = b.step({b.convolution(y, 3, 3, 1, 1), b.convolution(x, 3, 1, 2, 0)}, {3, 4, 4, 1, 1}, square);
  b.step({b.full(z, 3)}, {3, 1, 1, 1, 4}, keep);
  b.plan.io.classes = {"cat", "dog", "caf\u00e9, \"x\""};
  return b.build();
}

/// The same for four channels per ciphertext and two primes per level: one, two and three blocks, fewer channels than
/// places, a shortcut, sources rotated by up to two places, four images.
inline plan::Plan small_grouped_plan(int log_n = 8) {
  using enum plan::Step::Finish;
  PlanBuilder b(log_n, 4, {3, 8, 8, 2, 1, 4}, 10, 2);
  b.baby = 2;
  const int x = b.step({b.convolution(0, 6, 3, 1, 1)}, {6, 8, 8, 2, 1}, square, true);
  const int y = b.step({b.convolution(x, 2, 3, 2, 1)}, {2, 4, 4, 1, 1}, rescale);
  const int z =
      b.step({b.convolution(y, 6, 3, 1, 1), diagonal(b.convolution(x, 6, 1, 2, 0), 6)}, {6, 4, 4, 1, 1}, square, true);
  b.baby = 1;
  b.step({b.full(z, 9)}, {9, 1, 1, 1, 4}, keep);
  return b.build();
}

}  // namespace sotto::test
