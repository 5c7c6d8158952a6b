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
constexpr double kOutputLogScale = 36;  // scores up to 2^11 in one 48-bit limb

// The smallest ring of the product that holds `limbs` ciphertext primes and at least an eighth as many special ones.
ckks::ParametersSpec choose_parameters(int limbs) {
  for (int log_n : {16, 17}) {
    const int most = static_cast<int>(ckks::find_security_row(log_n, ckks::SecretDistribution::ternary)->max_log2_qp / kPrimeBits);
    const int special = std::min((limbs + 1) / 2 + 1, most - limbs);
    if (special * 8 >= limbs && special >= 2)
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
  // The largest tile that leaves room for the batch, but no larger than the image; smaller maps need fewer rotations then.
  const graph::Shape in = network.input_shape();
  const int image = static_cast<int>(std::bit_ceil(static_cast<unsigned>(std::max(in.h, in.w))));
  for (int tile = image;; tile /= 2) {
    if (tile < 1) throw Error(ErrorCode::usage, "--batch is too large for the ring; use a smaller batch");
    plan::Plan plan;
    try {
      plan = lower(network, tile);
    } catch (const Error&) {
      if (tile == image) throw;
      tile *= 2;  // strides do not fit smaller tiles: take the last size that worked
      plan = lower(network, tile);
      assign_levels(plan, options.log_scale);
      plan.batch = (1 << plan.parameters.log_n) / (tile * tile);
      plan.keys.tiers = choose_tiers(plan.parameters);
      plan.keys.keys = plan::required_keys(plan, plan::make_schedule(plan));
      plan.id = plan::plan_id(plan);
      return plan;
    }
    assign_levels(plan, options.log_scale);
    plan.batch = (1 << plan.parameters.log_n) / (tile * tile);
    if (plan.batch < options.batch) continue;
    plan.keys.tiers = choose_tiers(plan.parameters);
    plan.keys.keys = plan::required_keys(plan, plan::make_schedule(plan));
    plan.id = plan::plan_id(plan);
    return plan;
  }
}

}  // namespace sotto::compiler
