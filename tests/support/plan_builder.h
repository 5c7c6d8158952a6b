#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "plan/identity.h"
#include "plan/plan.h"
#include "plan/schedule.h"
#include "plan/verify.h"
#include "ring/primes.h"
#include "support/values.h"

namespace sotto::test {

/// What a step of a test plan does: squares its sum, divides it, or keeps it as the last layer does.
struct StepKind {
  plan::Kind kind;
  bool keep = false;

  constexpr StepKind(plan::Kind k, bool keeps = false)  // NOLINT(google-explicit-constructor): most are just a kind
      : kind(k), keep(keeps) {}
  constexpr operator plan::Kind() const { return kind; }  // NOLINT(google-explicit-constructor)
};

namespace kinds {
inline constexpr StepKind square{plan::Kind::square}, rescale{plan::Kind::sum}, keep{plan::Kind::sum, true};
}  // namespace kinds

/// Small plans over toy rings, with random weights and scales as the compiler sets them. Biases are per channel or per
/// pixel. The group of the input is that of all tensors.
class PlanBuilder {
 public:
  plan::Plan plan;
  int baby = 1;           ///< of the steps that follow
  int late;               ///< of the steps that follow, but for those that keep; in units, as of plan::Step
  int early = 0;          ///< of the squares that follow
  double log_scale = 22;  ///< log2 of the scale that the steps that follow leave

  PlanBuilder(int log_n, const plan::Axes& tile, plan::Layout input, int limbs, int late_of_steps = 1,
              int small_primes = 0)
      : late(late_of_steps) {
    plan.network = "test.onnx";
    plan.parameters = {.log_n = log_n,
                       .kind = ring::RingKind::conjugate_invariant,
                       .ciphertext_primes = limbs,
                       .special_primes = std::max(3, (limbs + 7) / 8 + 1),
                       .prime_bits = 48,
                       .small_primes = small_primes};
    plan.tile = tile;
    plan.batch = (1 << log_n) / (tile.area() * input.group);
    primes_ = ckks::primes_of(plan.parameters);
    plan.tensors.push_back({"image", input, limbs, 0x1p22});
    const auto channels = static_cast<std::size_t>(input.channels);
    plan.io = {input.channels,
               input.height,
               input.width,
               std::vector<double>(channels, 0.25),
               std::vector<double>(channels, 0.5),
               {},
               0};
    plan.keys.tiers = {{limbs, plan.parameters.special_primes}, {2, 1}};
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
  int step(std::vector<plan::Term> terms, plan::Layout out, StepKind kind, bool bias_per_pixel = false) {
    const bool square = kind.kind == plan::Kind::square;
    ckks::Level level = plan.tensors[static_cast<std::size_t>(terms.front().source)].level;
    for (const plan::Term& t : terms) level = ckks::meet(level, plan.tensors[static_cast<std::size_t>(t.source)].level);
    const double unit = static_cast<double>(plan.parameters.prime_bits) / (plan.parameters.small_primes + 1);
    const double bits = log_scale + late * unit, before = square ? early * unit : 0;
    const double kept = plan.group() > 1 ? log_scale + 19 : std::max(bits / 2, log_scale + 13);
    const double scale = std::exp2(kind.keep ? kept : square ? before + bits / 2 : bits);
    out.group = plan.group();
    const std::size_t biases = static_cast<std::size_t>(out.channels) *
                               (bias_per_pixel ? static_cast<std::size_t>(out.height * out.width) : 1);
    const int id = static_cast<int>(plan.tensors.size());
    plan::Step step;
    step.name = "layer" + std::to_string(id);
    step.output = id;
    step.terms = std::move(terms);
    step.bias = random_values(biases, ++seed_, 0.5);
    step.kind = kind.kind;
    step.keep = kind.keep;
    step.level = level;
    step.scale = scale;
    step.baby = baby;
    step.late = kind.keep ? 0 : late;
    step.early = square ? early : 0;
    const plan::StepLevels levels = plan::levels_of(plan, step);
    const double result = plan::result_scale(step, {levels, primes_}, scale);
    plan.tensors.push_back({"t" + std::to_string(id), out, levels.result, result});
    plan.steps.push_back(std::move(step));
    return id;
  }

  /// A function of a tensor at all its limbs; its scale should be near a prime over the range.
  int activate(int source, plan::Activation activation) {
    const int id = copy(source, plan::Kind::activate);
    plan::Step& step = plan.steps.back();
    step.level.limbs = tensor(source).level.limbs;
    step.activation = std::move(activation);
    tensor(id).level.limbs = step.level.limbs - plan::units_taken(step);
    return id;
  }

  /// Bootstrapping of a tensor by plan.bootstrapping, whose keys get a tier if there is none yet.
  int bootstrap(int source) {
    if (!plan.keys.tiers.back().ephemeral) plan.keys.tiers.push_back({1, 1, true});
    const int id = copy(source, plan::Kind::bootstrap);
    plan.steps.back().level.limbs = plan.bootstrapping->input_limbs();
    tensor(id).level.limbs = plan.bootstrapping->output_limbs();
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
  plan::Tensor& tensor(int t) { return plan.tensors[static_cast<std::size_t>(t)]; }

  // A slotwise step without its levels.
  int copy(int source, plan::Kind kind) {
    const int id = static_cast<int>(plan.tensors.size());
    plan.tensors.push_back({"t" + std::to_string(id), tensor(source).layout, 0, std::exp2(log_scale)});
    static_cast<circuit::Op&>(plan.steps.emplace_back()) =
        circuit::copy_op("layer" + std::to_string(id), id, {source}, kind);
    plan.steps.back().scale = tensor(source).scale;
    plan.steps.back().late = 0;
    return id;
  }

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
  using namespace kinds;
  PlanBuilder b(log_n, 4, {2, 8, 8, 2, 1}, 5);
  const int x = b.step({b.convolution(0, 2, 3, 1, 1)}, {2, 8, 8, 2, 1}, square, true);
  const int y = b.step({b.convolution(x, 3, 3, 2, 1)}, {3, 4, 4, 1, 1}, rescale, true);
  const int z = b.step({b.convolution(y, 3, 3, 1, 1), b.convolution(x, 3, 1, 2, 0)}, {3, 4, 4, 1, 1}, square);
  b.step({b.full(z, 3)}, {3, 1, 1, 1, 4}, keep);
  b.plan.io.classes = {"cat", "dog", "caf\u00e9, \"x\""};
  return b.build();
}

/// Channels in the gaps behind strides, four and then eight to a ciphertext, some places without one: a shortcut, a
/// projection from a map with other gaps, a bias per pixel, squares and a sum.
inline plan::Plan small_gaps_plan(int log_n = 10) {
  using namespace kinds;
  PlanBuilder b(log_n, 8, {2, 8, 8, 1, 1}, 6);
  const int x = b.step({b.convolution(0, 6, 3, 2, 1)}, {6, 4, 4, 1, 2, 1, 2}, square, true);
  const int y =
      b.step({b.convolution(x, 6, 3, 1, 1), diagonal(b.convolution(x, 6, 1, 1, 0), 6)}, {6, 4, 4, 1, 2, 1, 2}, rescale);
  const int z =
      b.step({b.convolution(y, 5, 3, 2, 1), b.convolution(x, 5, 1, 2, 0)}, {5, 2, 2, 1, 4, 1, {2, 4}}, square);
  const int w = b.step({b.convolution(z, 9, 3, 1, 1)}, {9, 2, 2, 1, 4, 1, {2, 4}}, square, true);
  b.step({b.full(w, 3)}, {3, 1, 1, 1, 1}, keep);
  return b.build();
}

/// relu(x) on [-range, range], roughly: a series of degree 6.
inline plan::Activation rough_relu(double range) {
  return {range, false, {{0.3183, 0.5, 0.2122, 0, -0.0424, 0, 0.0182}}};
}

/// relu(x) on [-range, range] as x times a step: two polynomials of degree 3 and their product with x.
inline plan::Activation gated_relu(double range) { return {range, true, {{0, 1.2, 0, -0.25}, {0.5, 0.6, 0, -0.1}}}; }

/// Every kind of slotwise step over four phases with five channels each, more than are bootstrapped together: a series,
/// a precise square, bootstrapping of both with a shortcut around it, a gate. 18 limbs, of which bootstrapping leaves
/// seven.
inline plan::Plan slotwise_plan(int group = 1, int log_n = 10) {
  using namespace kinds;
  const int tile = 4;
  PlanBuilder b(log_n, tile, {2, 8, 8, 2, 1, group}, 18);
  b.plan.io.classes = {"cat", "dog", "ship"};
  b.plan.tensors[0].scale = 0x1p40;
  b.plan.bootstrapping = {
      .slots_to_coeffs_factors = 2, .coeffs_to_slots_factors = 2, .raised_limbs = 18, .input_peak = 0x1p41};
  b.log_scale = 45;
  const int x = b.step({b.convolution(0, 5, 3, 1, 1)}, {5, 8, 8, 2, 1}, rescale, true);
  b.log_scale = 36;
  const int relu = b.activate(x, rough_relu(8));
  b.late = 2;
  b.log_scale = 34;
  const int y = b.step({b.convolution(relu, 5, 3, 1, 1)}, {5, 8, 8, 2, 1}, square);
  b.late = 1;
  const int fresh_relu = b.bootstrap(relu), fresh_y = b.bootstrap(y);
  b.log_scale = 42;
  const int z = b.step({b.convolution(fresh_y, 3, 3, 2, 1), b.convolution(fresh_relu, 3, 1, 2, 0)}, {3, 4, 4, 1, 1},
                       rescale, true);
  b.log_scale = 22;
  const int gate = b.activate(z, gated_relu(64));
  b.step({b.full(gate, 3)}, {3, 1, 1, 1, tile}, keep);
  return b.build();
}

/// The same for four channels per ciphertext and steps that take two primes: one, two and three blocks, fewer channels
/// than places, a shortcut, sources rotated by up to two places, four images.
inline plan::Plan small_grouped_plan(int log_n = 8) {
  using namespace kinds;
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
