#include "compiler/compile.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>

#include "base/error.h"
#include "ckks/security.h"
#include "compiler/lower.h"
#include "plan/schedule.h"

namespace sotto::compiler {

namespace {

constexpr int kPrimeBits = 48;
constexpr int kMaxTile = 64;            // tile^2 runs of at least 16 words at rank 2^16
constexpr double kOutputLogScale = 36;  // scores up to 2^11 in one 48-bit limb

// The smallest ring of the product that holds `limbs` ciphertext primes and special ones for at most eight digits.
ckks::ParametersSpec choose_parameters(int limbs) {
  for (int log_n : {16, 17}) {
    const int most =
        static_cast<int>(ckks::find_security_row(log_n, ckks::SecretDistribution::ternary)->max_log2_qp / kPrimeBits);
    const int special = std::min((limbs + 1) / 2 + 1, most - limbs);
    if ((special - 1) * 8 >= limbs && special >= 2)
      return {log_n, ring::RingKind::conjugate_invariant, limbs, special, kPrimeBits};
  }
  throw Error(ErrorCode::no_resources, "the network needs " + std::to_string(limbs) +
                                           " levels, more than 128-bit security leaves; use fewer layers");
}

// Key tiers: the full one, then each for about 0.7 of the levels of the one before, in two digits.
std::vector<ckks::KeyTier> choose_tiers(const ckks::ParametersSpec& p) {
  std::vector<ckks::KeyTier> tiers{{p.ciphertext_primes, p.special_primes}};
  for (int limbs = p.ciphertext_primes * 7 / 10; limbs >= 3; limbs = limbs * 7 / 10)
    tiers.push_back({limbs, std::min((limbs + 1) / 2 + 1, p.special_primes)});
  if (tiers.back().max_limbs > 1) tiers.push_back({1, std::min(2, p.special_primes)});
  return tiers;
}

// Larger scales drown the rounding of divisions, smaller ones leave more bits to the weights, whose rounding grows with
// the number of coefficients of a mask, tile^2 (docs/adr/0004).
double best_log_scale(int tile) { return 21.5 - 2.0 / 3 * std::log2(std::max(tile, 8) / 8.0); }

// Whether the network's strides fit this tile.
bool fits(const graph::Network& network, int tile) {
  try {
    lower(network, tile);
    return true;
  } catch (const Error&) {
    return false;
  }
}

void assign_levels(plan::Plan& plan, double log_scale) {
  int depth = 0;
  for (const plan::Step& s : plan.steps) depth = std::max(depth, s.limbs);
  const int limbs = depth + 1;
  plan.parameters = choose_parameters(limbs);
  for (plan::Tensor& t : plan.tensors) t.limbs = limbs - t.limbs;
  const auto primes = ckks::Parameters::create(plan.parameters).primes();
  const double target = std::exp2(log_scale);
  plan.tensors[0].scale = target;
  for (plan::Step& s : plan.steps) {
    s.limbs = limbs - s.limbs;
    const double q = static_cast<double>(primes[static_cast<std::size_t>(s.limbs - 1)]);
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
        s.scale = result = std::exp2(kOutputLogScale);
        break;
    }
  }
}

}  // namespace

plan::Plan compile(const graph::Network& network, const Options& options) {
  if (options.batch < 1 || options.batch > 65536) throw Error(ErrorCode::usage, "--batch must be between 1 and 65536");
  // The largest tile that leaves room for the batch, but no larger than the largest map; smaller maps need fewer
  // rotations then.
  const int image = static_cast<int>(std::bit_ceil(static_cast<unsigned>(graph::largest_side(network))));
  for (int tile = std::min(image, kMaxTile);; tile /= 2) {
    plan::Plan plan = lower(network, tile);
    const double log_scale = options.log_scale.value_or(best_log_scale(tile));
    assign_levels(plan, log_scale);
    plan.batch = (1 << plan.parameters.log_n) / (tile * tile);
    if (plan.batch < options.batch && tile > 1 && fits(network, tile / 2)) continue;
    plan.keys.tiers = choose_tiers(plan.parameters);
    plan.keys.keys = plan::required_keys(plan, plan::make_schedule(plan));
    plan.id = plan::plan_id(plan);
    plan::verify(plan);
    return plan;
  }
}

}  // namespace sotto::compiler
