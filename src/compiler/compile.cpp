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
#include "plan/schedule.h"

namespace sotto::compiler {

namespace {

constexpr int kMaxTile = 64;  // tile^2 runs of at least 16 words at rank 2^16

// What a level takes: one prime, or two smaller ones where weights need more bits (docs/adr/0013).
struct LevelSize {
  int primes, bits;

  [[nodiscard]] int total() const { return primes * bits; }
};
constexpr LevelSize kOnePrime{1, 48}, kTwoPrimes{2, 30};

// Scores up to 2^11 in the last level.
double output_log_scale(LevelSize size) { return size.total() - 12; }

// The smallest ring of the product that holds `limbs` ciphertext primes and special ones for at most eight digits.
ckks::ParametersSpec choose_parameters(int limbs, int bits) {
  for (int log_n : {16, 17}) {
    const int most =
        static_cast<int>(ckks::find_security_row(log_n, ckks::SecretDistribution::ternary)->max_log2_qp / bits);
    const int special = special_primes(limbs, std::min(most - limbs, 64));
    if (special >= 2 && limbs <= 64) return {log_n, ring::RingKind::conjugate_invariant, limbs, special, bits};
  }
  throw Error(ErrorCode::no_resources, "the network needs " + std::to_string(limbs) +
                                           " levels, more than 128-bit security leaves; use fewer layers");
}

// Larger scales drown the rounding of divisions, smaller ones leave more bits to the weights, whose rounding grows with
// the number of coefficients of a mask, the period (docs/adr/0004). 21.5 was measured at a period of 64 and 48 bits.
double best_log_scale(int period, LevelSize size) {
  return 21.5 + (size.total() - 48 - std::log2(std::max(period, 64) / 64.0)) / 3;
}

// Room for a tensor's peak above the scale of activations: squares of pre-activations up to 16.
constexpr double kPeakBits = 8;
// By how much a tensor that only precise steps read is finer.
constexpr double kPreciseBits = 10;
// Scales where polynomials want precision: of what is bootstrapped before one, and of the network's input.
constexpr double kPolynomialPeak = 0x1p44, kPolynomialInput = 0x1p40;
// Of the last activation: the last layer has one prime for its input and its weights.
constexpr double kLastScale = 0x1p24;

bool has(const plan::Plan& plan, plan::Step::Finish finish) {
  return std::any_of(plan.steps.begin(), plan.steps.end(), [&](const plan::Step& s) { return s.finish == finish; });
}

// Scales of a plan with bootstrapping or polynomials. bounds: largest magnitude of every tensor.
void assign_scales(plan::Plan& plan, double log_scale, const Bounds& bounds) {
  using Finish = plan::Step::Finish;
  const auto primes = ckks::Parameters::create(plan.parameters).primes();
  const bool squares = has(plan, Finish::square);
  if (plan.refresh) plan.refresh->input_peak = squares ? std::exp2(log_scale + kPeakBits) : kPolynomialPeak;
  // A precise step reads what is precise: then its weights have twice the bits.
  const auto usual_scale = [&](int tensor) {
    if (!squares) return kPolynomialInput;
    bool precise = true;
    for (const plan::Step& s : plan.steps)
      for (const plan::Term& t : s.terms)
        if (t.source == tensor && !s.slotwise()) precise = precise && s.extra_primes > 0;
    return std::exp2(log_scale + (precise ? kPreciseBits : 0));
  };
  const auto wanted = [&](int tensor) {
    double scale = usual_scale(tensor);
    for (const plan::Step& s : plan.steps) {
      for (const plan::Term& t : s.terms) {
        if (t.source != tensor) continue;
        if (s.finish == Finish::refresh) return plan.refresh->input_peak / bounds[static_cast<std::size_t>(tensor)];
        if (s.finish == Finish::activate)
          scale = static_cast<double>(primes[static_cast<std::size_t>(s.limbs - 1)]) / s.activation.range;
        if (s.finish == Finish::keep) scale = std::min(scale, kLastScale);
      }
    }
    return scale;
  };
  plan.tensors[0].scale = wanted(0);
  for (plan::Step& s : plan.steps) {
    plan::Tensor& out = plan.tensors[static_cast<std::size_t>(s.output)];
    const double target = wanted(s.output);
    const double q = plan::level_modulus(plan, s, primes);
    switch (s.finish) {
      case Finish::square:
        s.scale = std::sqrt(target * q);
        out.scale = s.scale * s.scale / q;
        break;
      case Finish::rescale:
        s.scale = target * q;
        out.scale = s.scale / q;
        break;
      case Finish::keep:
        s.scale = out.scale = std::exp2(output_log_scale(kOnePrime));
        break;
      case Finish::activate:
      case Finish::refresh:
        s.scale = plan.tensors[static_cast<std::size_t>(s.terms.front().source)].scale;
        out.scale = target;
        break;
    }
  }
}

// A plan for a network that is deeper than the modulus, or that needs polynomials.
plan::Plan with_refreshes(const plan::Plan& lowered, const Options& options) {
  if (options.group > 1 && has(lowered, plan::Step::Finish::square))
    throw Error(ErrorCode::no_resources, "networks of squares that need bootstrapping keep one channel per ciphertext");
  const Placement placement = place(lowered, options.precise);
  plan::Plan plan = insert_refreshes(lowered, placement);
  plan.level_primes = 1;
  plan.parameters = {16, ring::RingKind::conjugate_invariant, placement.limbs, placement.special, kOnePrime.bits};
  Bounds bounds = options.bounds ? *options.bounds : measure_bounds(lowered, {});
  bounds.resize(plan.tensors.size());
  for (const plan::Step& s : plan.steps)
    if (s.finish == plan::Step::Finish::refresh)
      bounds[static_cast<std::size_t>(s.output)] = bounds[static_cast<std::size_t>(s.terms.front().source)];
  assign_scales(plan, options.log_scale.value_or(best_log_scale(lowered.period(), kOnePrime)), bounds);
  return plan;
}

// Whether all layers fit the modulus of some ring as they are.
bool needs_refreshes(const plan::Plan& lowered, LevelSize size) {
  if (has(lowered, plan::Step::Finish::activate)) return true;
  int depth = 0;
  for (const plan::Step& s : lowered.steps) depth = std::max(depth, s.limbs);
  const int limbs = (depth + 1) * size.primes;
  const int most =
      static_cast<int>(ckks::find_security_row(16, ckks::SecretDistribution::ternary)->max_log2_qp / size.bits);
  return limbs > 64 || special_primes(limbs, most - limbs) < 2;
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
  } catch (const Error&) {
    return false;
  }
}

void assign_levels(plan::Plan& plan, LevelSize size, double log_scale) {
  int depth = 0;
  for (const plan::Step& s : plan.steps) depth = std::max(depth, s.limbs);
  const int limbs = (depth + 1) * size.primes;
  plan.level_primes = size.primes;
  plan.parameters = choose_parameters(limbs, size.bits);
  for (plan::Tensor& t : plan.tensors) t.limbs = limbs - t.limbs * size.primes;
  const auto primes = ckks::Parameters::create(plan.parameters).primes();
  const double target = std::exp2(log_scale);
  plan.tensors[0].scale = target;
  for (plan::Step& s : plan.steps) {
    s.limbs = limbs - s.limbs * size.primes;
    const double q = plan::level_modulus(plan, s, primes);
    double& result = plan.tensors[s.output].scale;
    switch (s.finish) {
      case plan::Step::Finish::square:
        s.scale = std::sqrt(target * q);
        result = s.scale * s.scale / q;
        break;
      case plan::Step::Finish::rescale:
        s.scale = target * q;
        result = s.scale / q;
        break;
      case plan::Step::Finish::keep:
        s.scale = result = std::exp2(output_log_scale(size));
        break;
      case plan::Step::Finish::activate:
      case plan::Step::Finish::refresh:
        check(false, "a plan with slotwise steps is placed");
    }
  }
}

// Keys, and with groups how far sources are rotated before sums are: that saves rotations of sums, but needs keys.
void choose_rotations(plan::Plan& plan) {
  const auto with_baby = [&](int baby) {
    for (plan::Step& s : plan.steps) s.baby = baby;
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

Bounds bounds_of(const graph::Network& network, const std::vector<std::vector<double>>& images, double relu_error) {
  return measure_bounds(lower(network, largest_tile(network), 1, relu_error), images);
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
    if (needs_refreshes(plan, size))
      plan = with_refreshes(plan, options);
    else
      assign_levels(plan, size, options.log_scale.value_or(best_log_scale(plan.period(), size)));
    plan.batch = (1 << plan.parameters.log_n) / plan.period();
    if (plan.batch < options.batch && tile > 1 && fits(network, tile / 2)) continue;
    if (plan.batch < 1)
      throw Error(ErrorCode::bad_input, "the ring has no room for " + std::to_string(options.group) +
                                            " channels of this network in a ciphertext");
    choose_rotations(plan);
    plan.id = plan::plan_id(plan);
    plan::verify(plan);
    return plan;
  }
}

}  // namespace sotto::compiler
