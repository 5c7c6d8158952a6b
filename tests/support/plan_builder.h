#pragma once

#include <string>
#include <utility>
#include <vector>

#include "plan/plan.h"
#include "plan/schedule.h"
#include "support/values.h"

namespace sotto::test {

/// Small plans over toy rings, with random weights and scales as the compiler sets them. Biases are per channel or per
/// pixel.
class PlanBuilder {
 public:
  plan::Plan plan;

  PlanBuilder(int log_n, int tile, plan::Layout input, int limbs) {
    plan.network = "test.onnx";
    plan.parameters = {
        .log_n = log_n, .kind = ring::RingKind::conjugate_invariant, .ciphertext_primes = limbs, .special_primes = 3};
    plan.tile = tile;
    plan.batch = (1 << log_n) / (tile * tile);
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
    const double scale = finish == rescale ? 0x1p70 : 0x1p35;
    const double result = finish == square ? scale * scale / 0x1p48 : finish == rescale ? scale / 0x1p48 : scale;
    const std::size_t biases = static_cast<std::size_t>(out.channels) *
                               (bias_per_pixel ? static_cast<std::size_t>(out.height * out.width) : 1);
    const int id = static_cast<int>(plan.tensors.size());
    plan.tensors.push_back({"t" + std::to_string(id), out, limbs - (finish == keep ? 0 : 1), result});
    plan.steps.push_back({"layer" + std::to_string(id), id, std::move(terms), random_values(biases, ++seed_, 0.5),
                          finish, limbs, scale});
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
  unsigned seed_ = 1;
};

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

}  // namespace sotto::test
