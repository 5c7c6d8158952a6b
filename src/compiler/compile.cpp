#include "compiler/compile.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>

#include "base/error.h"
#include "ckks/security.h"
#include "compiler/key_tiers.h"
#include "compiler/lower.h"
#include "compiler/place.h"
#include "compiler/probes.h"
#include "compiler/scales.h"
#include "plan/schedule.h"

namespace sotto::compiler {

namespace {

constexpr int kLogN = 16;
constexpr int kMaxTile = 64;  // tile^2 runs of at least 16 words at this rank
constexpr int kMostLimbs = 64;

// Primes that the modulus has room for.
int most_primes(int bits) {
  return static_cast<int>(ckks::find_security_row(kLogN, ckks::SecretDistribution::ternary)->max_log2_qp / bits);
}

// Levels of a network that is deeper than the modulus, or that needs polynomials; sets `bounds` of the plan's tensors.
plan::Plan with_refreshes(plan::Plan lowered, const Options& options, Bounds& bounds) {
  lowered.steps.back().extra_primes = 1;  // one prime would leave few bits to the weights of the last layer
  // With groups, weights have masks over long periods and need more bits, too.
  if (options.precise || options.group > 1)
    for (plan::Step& s : lowered.steps)
      if (s.finish == plan::Step::Finish::square) s.extra_primes = 1;
  const Placement placement = place(lowered);
  plan::Plan plan = insert_refreshes(lowered, placement);
  plan.level_primes = 1;
  plan.parameters = {kLogN, ring::RingKind::conjugate_invariant, placement.limbs, placement.special, kOnePrime.bits};
  bounds = options.bounds ? options.bounds() : measure_bounds(lowered, {});
  bounds.resize(plan.tensors.size());
  for (const plan::Step& s : plan.steps)
    if (s.finish == plan::Step::Finish::refresh)
      bounds[static_cast<std::size_t>(s.output)] = bounds[static_cast<std::size_t>(s.terms.front().source)];
  return plan;
}

// Limbs of fresh inputs if nothing is bootstrapped.
int limbs_without_refreshes(const plan::Plan& lowered, LevelSize size) {
  int depth = 0;
  for (const plan::Step& s : lowered.steps) depth = std::max(depth, s.limbs);
  return (depth + 1) * size.primes;
}

// Whether the layers do not fit the modulus as they are.
bool needs_refreshes(const plan::Plan& lowered, LevelSize size) {
  if (has(lowered, plan::Step::Finish::activate)) return true;
  const int limbs = limbs_without_refreshes(lowered, size);
  return limbs > kMostLimbs || special_primes(limbs, most_primes(size.bits) - limbs) < 2;
}

// No larger than the largest map; smaller maps need fewer rotations then.
int largest_tile(const graph::Network& network) {
  return std::min(static_cast<int>(std::bit_ceil(static_cast<unsigned>(graph::largest_side(network)))), kMaxTile);
}

// Whether the network's strides fit this tile.
bool fits(const graph::Network& network, int tile) {
  try {
    lower(network, tile, 1);
    return true;
  } catch (const Error& e) {
    if (e.code() != ErrorCode::bad_input) throw;
    return false;
  }
}

// Levels of a network that fits the modulus.
void assign_levels(plan::Plan& plan, LevelSize size) {
  const int limbs = limbs_without_refreshes(plan, size);
  plan.level_primes = size.primes;
  plan.parameters = {kLogN, ring::RingKind::conjugate_invariant, limbs,
                     special_primes(limbs, std::min(most_primes(size.bits) - limbs, kMostLimbs)), size.bits};
  for (plan::Tensor& t : plan.tensors) t.limbs = limbs - t.limbs * size.primes;
  for (plan::Step& s : plan.steps) s.limbs = limbs - s.limbs * size.primes;
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

Bounds bounds_of(const graph::Network& network, const std::vector<std::vector<double>>& images, double relu_error,
                 const std::function<void(std::size_t)>& progress) {
  return measure_bounds(lower(network, largest_tile(network), 1, relu_error), images, progress);
}

plan::Plan compile(const graph::Network& network, const Options& options) {
  if (options.batch < 1 || options.batch > 65536) throw Error(ErrorCode::usage, "--batch must be between 1 and 65536");
  if (options.group < 1 || options.group > plan::kMaxGroup ||
      !std::has_single_bit(static_cast<unsigned>(options.group)))
    throw Error(ErrorCode::usage,
                "channels per ciphertext must be a power of two up to " + std::to_string(plan::kMaxGroup));
  const LevelSize size = options.group > 1 ? kTwoPrimes : kOnePrime;
  // The largest tile that leaves room for the batch.
  for (int tile = largest_tile(network);; tile /= 2) {
    plan::Plan plan = lower(network, tile, options.group, options.relu_error);
    Bounds bounds;
    const bool refreshes = needs_refreshes(plan, size);
    if (refreshes)
      plan = with_refreshes(std::move(plan), options, bounds);
    else
      assign_levels(plan, size);
    const LevelSize level = refreshes ? kOnePrime : size;
    const int period = refreshes && options.group > 1 ? 64 : plan.period();  // precise weights at any period
    assign_scales(plan, level, options.log_scale.value_or(best_log_scale(period, level)), bounds);
    plan.batch = (1 << plan.parameters.log_n) / plan.period();
    if (plan.batch < options.batch && tile > 1 && fits(network, tile / 2)) continue;
    if (plan.batch < 1)
      throw Error(ErrorCode::bad_input, "the ring has no room for " + std::to_string(options.group) +
                                            " channels of this network in a ciphertext");
    choose_rotations(plan);
    place_probes(plan);
    plan.id = plan::plan_id(plan);
    plan::verify(plan);
    return plan;
  }
}

}  // namespace sotto::compiler
