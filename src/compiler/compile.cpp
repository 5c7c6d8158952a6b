#include "compiler/compile.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <optional>
#include <string>

#include "base/error.h"
#include "compiler/key_tiers.h"
#include "compiler/levels.h"
#include "compiler/linear_form.h"
#include "compiler/lower.h"
#include "compiler/place.h"
#include "compiler/probes.h"
#include "compiler/scales.h"
#include "compiler/weight_errors.h"
#include "plan/identity.h"
#include "plan/noise.h"
#include "plan/schedule.h"
#include "plan/verify.h"

namespace sotto::compiler {

namespace {

constexpr int kLogN = 16;
constexpr int kMaxTile = 64;  // tile^2 runs of at least 16 words at this rank

// Statistics of a plan's own tensors and steps, from those of the lowered plan: what is bootstrapped stays what it is.
Statistics expand(const Statistics& lowered, const plan::Plan& plan) {
  Statistics out = lowered;
  out.tensors.resize(plan.tensors.size());
  out.moments.resize(plan.tensors.size());
  out.sums.clear();
  std::size_t next = 0;
  for (const plan::Step& s : plan.steps) {
    if (s.finish != plan::Step::Finish::refresh) {
      out.sums.push_back(lowered.sums[next++]);
      continue;
    }
    out.tensors[static_cast<std::size_t>(s.output)] = out.tensors[static_cast<std::size_t>(s.terms.front().source)];
    out.moments[static_cast<std::size_t>(s.output)] = out.moments[static_cast<std::size_t>(s.terms.front().source)];
    out.sums.push_back(out.tensors[static_cast<std::size_t>(s.output)]);
  }
  return out;
}

// Levels of a network that is deeper than the modulus, or that needs polynomials.
Draft with_refreshes(plan::Plan lowered, const Options& options, const Statistics& statistics, bool precise) {
  lowered.steps.back().extra_primes = 1;  // one prime would leave few bits to the weights of the last layer
  // With groups, weights have masks over long periods and need more bits, too.
  if (precise || options.group > 1)
    for (plan::Step& s : lowered.steps)
      if (s.finish == plan::Step::Finish::square) s.extra_primes = 1;
  const Placement placement = place(lowered);
  plan::Plan plan = insert_refreshes(lowered, placement);
  plan.level_primes = 1;
  plan.parameters = {kLogN, ring::RingKind::conjugate_invariant, placement.limbs, placement.special, kOnePrime.bits};
  const Statistics expanded = expand(statistics, plan);
  for (std::size_t t = 0; t < plan.tensors.size(); ++t) plan.tensors[t].moments = expanded.moments[t];
  const plan::Schedule schedule = plan::make_schedule(plan);
  auto errors = weight_errors(plan, plan::weight_noise(plan, schedule));
  std::vector<double> rotated = plan::rotated_share(plan, schedule);
  Scales scales = choose_scales(plan, expanded, errors, rotated);
  return {std::move(plan), std::move(errors), std::move(rotated), std::move(scales)};
}

// No larger than the largest map; smaller maps need fewer rotations then.
int largest_tile(const graph::Network& network) {
  const plan::Axes canvas = canvas_of(network);
  if (std::max(canvas.h, canvas.w) > plan::kMostPhases * kMaxTile)
    throw Error(ErrorCode::bad_input,
                "no packing has room for its largest map: with the pixels that strides leave out it may have " +
                    std::to_string(plan::kMostPhases * kMaxTile) +
                    " rows and columns; use less padding before strides");
  return std::min(static_cast<int>(std::bit_ceil(static_cast<unsigned>(std::max(canvas.h, canvas.w)))), kMaxTile);
}

// Whether the network's maps fit this tile.
bool fits(const graph::Network& network, int tile) {
  const plan::Axes canvas = canvas_of(network);
  return std::max(canvas.h, canvas.w) <= plan::kMostPhases * tile;
}

// Keys, and with groups how far sources are rotated before sums are: that saves rotations of sums, but needs keys.
void choose_rotations(plan::Plan& plan) {
  const auto with_baby = [&](int baby) {
    for (plan::Step& s : plan.steps)
      if (!s.slotwise()) s.baby = baby;
    return choose_keys(plan);
  };
  int best = 1;
  double least = HUGE_VAL;
  for (int baby = 1; baby <= std::min(plan.group(), 8); baby *= 2) {
    const double seconds = with_baby(baby);
    if (seconds < least) {
      least = seconds;
      best = baby;
    }
  }
  with_baby(best);
}

}  // namespace

Statistics statistics_of(const graph::Network& network, const Calibration& calibration, double relu_error,
                         const std::function<void(std::size_t)>& progress) {
  return measure(lower_for_statistics(network, relu_error), calibration, progress);
}

plan::Plan lower_for_statistics(const graph::Network& network, double relu_error) {
  return lower(network, largest_tile(network), 1, relu_error);
}

const plan::Step& Compiled::worst() const {
  return plan.steps[static_cast<std::size_t>(std::ranges::max_element(step_errors) - step_errors.begin())];
}

Compiled compile(const graph::Network& network, const Options& options) {
  if (options.batch < 1 || options.batch > 65536) throw Error(ErrorCode::usage, "a batch is of 1 to 65536 images");
  if (options.group < 1 || options.group > plan::kMaxGroup ||
      !std::has_single_bit(static_cast<unsigned>(options.group)))
    throw Error(ErrorCode::usage,
                "channels per ciphertext must be a power of two up to " + std::to_string(plan::kMaxGroup));
  const LevelSize size = options.group > 1 ? kTwoPrimes : kOnePrime;
  std::optional<Statistics> made_up;
  const auto statistics = [&]() -> const Statistics& {
    if (options.statistics) return options.statistics();
    if (!made_up) made_up = statistics_of(network, made_up_calibration(interface_of(network)), options.relu_error);
    return *made_up;
  };
  // The largest tile that leaves room for the batch.
  for (int tile = largest_tile(network);; tile /= 2) {
    plan::Plan lowered = lower(network, tile, options.group, options.relu_error);
    const int batch = (1 << kLogN) / lowered.period();
    if (batch < options.batch && tile > 1 && fits(network, tile / 2)) continue;
    if (batch < 1)
      throw Error(ErrorCode::bad_input, "the ring has no room for " + std::to_string(options.group) +
                                            " channels of this network in a ciphertext");
    const int scores = lowered.io.outputs;
    const WantedVariance wanted{std::pow(options.score_error, 2) * scores,
                                std::pow(options.cheap_score_error, 2) * scores};
    std::optional<Draft> draft;
    if (!has(lowered, plan::Step::Finish::activate))
      draft = levels_without_refreshes(lowered, size, statistics(), wanted);
    if (!draft || (options.precise && draft->scales.total_variance() > wanted.at_most)) {
      Draft refreshed = with_refreshes(std::move(lowered), options, statistics(), options.precise);
      if (!draft || refreshed.scales.total_variance() < draft->scales.total_variance()) draft = std::move(refreshed);
    }
    Compiled out{std::move(draft->plan), 0, std::move(draft->scales.variance), std::move(draft->errors),
                 std::move(draft->rotated)};
    apply_scales(out.plan, draft->scales);
    out.plan.batch = batch;
    for (double& v : out.step_errors) {
      out.score_error += v / out.plan.io.outputs;
      v = std::sqrt(v / out.plan.io.outputs);
    }
    out.score_error = std::sqrt(out.score_error);
    choose_rotations(out.plan);
    place_probes(out.plan);
    out.plan.id = plan::plan_id(out.plan);
    plan::verify(out.plan);
    return out;
  }
}

}  // namespace sotto::compiler
