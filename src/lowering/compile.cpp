#include "lowering/compile.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>

#include "base/error.h"
#include "ckks/key_file.h"
#include "ckks/security.h"
#include "compiler/key_tiers.h"
#include "lowering/features.h"
#include "lowering/moments.h"
#include "lowering/step_bootstrap.h"
#include "training/optimiser.h"

namespace sotto::lowering {

namespace {

constexpr double kLeastBits = 31;              // of any scale: rounding a product makes an error of 2^14
constexpr int kBits[] = {40, 45, 36, 48, 33};  // of the free scales, the likeliest first
constexpr double kSwitchWork = 3;              // of a key switch, beside a division

std::vector<compiler::SwitchesAtLevel> levels_of(const std::vector<const program::Program*>& programs, int log_n) {
  std::map<int, compiler::SwitchesAtLevel, std::greater<>> by_limbs;
  for (const program::Program* program : programs)
    for (const program::Instruction& i : program->instructions)
      for (const auto& [s, times] : program::switches_of(*program, i, log_n)) {
        if (s.galois_element == ckks::kToEphemeral) continue;
        compiler::SwitchesAtLevel& level = by_limbs[s.limbs];
        level.limbs = s.limbs;
        level.switches[0] += times;
        level.galois_elements.insert(s.galois_element);
      }
  std::vector<compiler::SwitchesAtLevel> list;
  for (auto& [limbs, level] : by_limbs) list.push_back(std::move(level));
  return list;
}

// What a program takes, about: the transforms of its key switches and divisions.
double work_of(const program::Program& program, int log_n) {
  double work = 0;
  for (const program::Instruction& i : program.instructions) {
    if (i.kind == program::Instruction::Kind::bootstrap) continue;  // the same for all choices
    for (const auto& [s, times] : program::switches_of(program, i, log_n)) work += kSwitchWork * times * s.limbs;
    work += static_cast<double>(i.rescales) * static_cast<double>(i.outputs.size()) * i.limbs;
  }
  return work;
}

// The choice of scales with the least work if bootstrapping leaves so many limbs beyond those that it needs; nothing if
// these are too few.
std::optional<LevelChoice> choose_scales(const Step& step, const Arrangement& arrangement,
                                         const std::vector<std::uint64_t>& primes, const Spec& spec, int left,
                                         bool any = false) {
  std::optional<LevelChoice> best;
  double least = HUGE_VAL;
  for (int image_bits : kBits)
    for (int state_bits : kBits) {
      LevelChoice choice{bootstrap_spec(arrangement.log_n), std::exp2(state_bits), std::exp2(image_bits),
                         std::exp2(kLeastBits)};
      choice.state_scale = std::min(choice.state_scale, most_state_scale(choice.bootstrapping, spec.range));
      choice.bootstrapping.raised_limbs += left;
      const std::optional<LoweredStep> lowered = lower(step, arrangement, choice, primes, spec);
      if (!lowered) continue;
      if (any) return choice;
      const double work = work_of(lowered->program, arrangement.log_n);
      if (work < least) {
        least = work;
        best = choice;
      }
    }
  return best;
}

// Room in a ring for the keys of another of the same primes.
void widen(ckks::ParametersSpec& ring, const ckks::ParametersSpec& other) {
  const int at_once = std::max(ring.most_at_once(), other.most_at_once());
  ring.ciphertext_primes = std::max(ring.ciphertext_primes, other.ciphertext_primes);
  ring.special_primes = std::max(ring.special_primes, other.special_primes);
  ring.primes_at_once = at_once;
}

bool at_once(const Spec& spec) { return spec.optimiser == Spec::Optimiser::normal_equations; }

// A program with as few levels as possible; nothing if the ring has too few.
std::optional<LevelChoice> choose_levels(const Step& step, const Arrangement& arrangement,
                                         const std::vector<std::uint64_t>& primes, const Spec& spec, int most_primes) {
  const int raised = bootstrap_spec(arrangement.log_n).raised_limbs;
  int most = 0;
  while (compiler::special_primes(raised + most + 1, most_primes - raised - most - 1) > 0) ++most;
  int enough = most + 1;  // bisection: more limbs never hurt
  for (int too_few = 0; enough - too_few > 1;) {
    const int middle = (too_few + enough) / 2;
    (choose_scales(step, arrangement, primes, spec, middle, true) ? enough : too_few) = middle;
  }
  if (enough > most) return std::nullopt;
  return choose_scales(step, arrangement, primes, spec, enough);
}

constexpr double kMomentImageScale = 0x1p40;  // of images that come straight from encryption

}  // namespace

Arrangement arrangement_of(const Step& step, const Spec& spec, int log_n, const std::optional<Body>& body) {
  const int tile = body ? body->client.tile.h : 0;
  return at_once(spec) ? arrange_moments(step, spec.batch, log_n, tile) : arrange(step, spec.batch, log_n, tile);
}

TrainingPlan compile(Step step, const Spec& spec, const RingLimits& limits, std::optional<Body> body) {
  TrainingPlan plan;
  plan.spec = spec;
  plan.step = std::move(step);
  plan.body = std::move(body);
  plan.arrangement = arrangement_of(plan.step, spec, limits.log_n, plan.body);
  require_maps_in_place(plan);
  if (!at_once(spec) && limits.primes == 0 && !ckks::has_bootstrapping(limits.log_n, limits.security))
    throw Error(ErrorCode::no_resources, "steps of a training are bootstrapped, for whose sparse secret no bound at " +
                                             std::string(ckks::describe(limits.security)) +
                                             " is published; take 128 bits (security), or normal equations");
  const int most = limits.primes > 0 ? limits.primes : compiler::most_primes(limits.log_n, limits.security);
  plan.parameters = {.log_n = limits.log_n,
                     .kind = ring::RingKind::conjugate_invariant,
                     .ciphertext_primes = most - 1,
                     .special_primes = 1,
                     .prime_bits = compiler::kPrimeBits,
                     .security = limits.security};
  std::optional<LevelChoice> levels;
  if (!at_once(spec)) {
    levels = choose_levels(plan.step, plan.arrangement, ckks::primes_of(plan.parameters), spec, most);
  } else {
    levels = moment_levels(limits.log_n, kMomentImageScale);
    if (plan.body) levels->image_scale = feature_scale(levels->bootstrapping, *plan.body);
  }
  if (!levels)
    throw Error(
        ErrorCode::no_resources,
        "a training step of this network needs more levels than bootstrapping leaves at 128-bit security; train "
        "fewer of its last layers, or at a larger rate");
  plan.levels = *levels;
  plan.parameters.ciphertext_primes =
      at_once(spec) ? levels->bootstrapping.input_limbs() : levels->bootstrapping.raised_limbs;
  plan.parameters.primes_at_once = plan.parameters.ciphertext_primes + 1;
  const LoweredStep lowered = lower(plan);
  std::vector<const program::Program*> programs{&lowered.program};
  program::Program packing;
  if (plan.body) {
    plan.parameters.ciphertext_primes = std::max(plan.parameters.ciphertext_primes, feature_limbs(limits.log_n));
    packing = pack_features(plan);
    programs.push_back(&packing);
  }
  plan.keys.tiers = compiler::choose_tiers(levels_of(programs, limits.log_n), limits.log_n, most).tiers;
  for (const ckks::KeyTier& tier : plan.keys.tiers) {
    plan.parameters.special_primes = std::max(plan.parameters.special_primes, tier.special);
    plan.parameters.primes_at_once = std::max(plan.parameters.primes_at_once, tier.max_limbs + tier.special);
  }
  if (lowered.program.bootstrapping) plan.keys.tiers.push_back({1, 1, true});
  plan.keys.keys = required_keys(plan, lowered);
  if (plan.body) widen(plan.parameters, plan.body->client.parameters);
  return plan;
}

void require_maps_in_place(const TrainingPlan& plan) {
  if (!plan.body || !plan.body->maps || !plan.body->plan) return;
  const Layout &made = plan.body->plan->output().layout,
               &read = plan.arrangement.layouts[static_cast<std::size_t>(plan.step.images)];
  if (!(made == read))
    throw Error(
        ErrorCode::bad_input,
        "the layers in front of an adapter leave gaps between the pixels of the maps that it reads: strides must "
        "be powers of two, and maps half, a quarter .. of the image, rounded up");
}

std::vector<ckks::KeyId> required_keys(const TrainingPlan& plan, const LoweredStep& lowered) {
  std::vector<ckks::KeyId> keys = program::required_keys(lowered.program, plan.keys.tiers, plan.parameters.log_n);
  if (!plan.body) return keys;
  for (const ckks::KeyId& id : program::required_keys(pack_features(plan), plan.keys.tiers, plan.parameters.log_n))
    keys.push_back(id);
  std::ranges::sort(keys);
  keys.erase(std::ranges::unique(keys).begin(), keys.end());
  return keys;
}

LoweredStep lower(const TrainingPlan& plan) {
  std::optional<LoweredStep> lowered =
      at_once(plan.spec)
          ? lower_moments(plan.step, plan.arrangement, plan.levels, ckks::primes_of(plan.parameters), plan.spec)
          : lower(plan.step, plan.arrangement, plan.levels, ckks::primes_of(plan.parameters), plan.spec);
  if (!lowered) throw Error(ErrorCode::bad_input, "the levels of this plan do not suffice for its program");
  return std::move(*lowered);
}

std::vector<double> coefficients_of(const TrainingPlan& plan, int step) {
  if (at_once(plan.spec)) return {};
  const training::Update u = training::update_of(plan.spec, step);
  return {u.ww, u.wu, u.wg, u.uw, u.uu, u.ug};
}

// Of the steps: values, all keys, the matrices of bootstrapping, what an instruction holds unpacked, and the features
// of all batches. The body runs before them.
std::uint64_t memory_of(const TrainingPlan& plan, const LoweredStep& lowered, std::uint64_t batches) {
  std::uint64_t keys = 0;
  for (const ckks::KeyId& id : plan.keys.keys) {
    const ckks::KeyTier& tier = plan.keys.tiers[static_cast<std::size_t>(id.tier)];
    keys += 2 * static_cast<std::uint64_t>(ckks::key_digits(tier, id.galois_element)) *
            static_cast<std::uint64_t>(tier.max_limbs + tier.special) * (simd::kPackedBytes << plan.parameters.log_n);
  }
  constexpr std::uint64_t kOfBootstrapping = 500, kUnpacked = 64;  // MB, and limbs for every limb of a ciphertext
  std::uint64_t features = 0;                                      // limbs, of a batch
  for (std::size_t k = 0; plan.body && k < lowered.images; ++k)
    features += 2 * static_cast<std::uint64_t>(lowered.program.value(lowered.program.inputs[1 + k]).limbs);
  const bootstrap::BootstrapSpec& b = plan.levels.bootstrapping;
  const bool bootstraps = lowered.program.bootstrapping.has_value();
  const int limbs = bootstraps ? b.output_limbs() : b.input_limbs();
  const std::uint64_t of_steps =
      batches * features * (simd::kPackedBytes << plan.parameters.log_n) +
      program::peak_bytes(lowered.program, plan.parameters.log_n) + keys + (bootstraps ? kOfBootstrapping << 20 : 0) +
      kUnpacked * static_cast<std::uint64_t>(limbs) * (sizeof(std::uint64_t) << plan.parameters.log_n);
  return plan.body ? std::max(of_steps, plan.body->bytes) : of_steps;
}

ckks::KeyRequest all_keys_of(const TrainingPlan& plan) {
  ckks::KeyRequest all = plan.keys;
  if (!plan.body) return all;
  for (const ckks::KeyId& id : plan.body->client.keys.keys) {
    const ckks::KeyTier& tier = plan.body->client.keys.tiers[static_cast<std::size_t>(id.tier)];
    const auto at = std::ranges::find(all.tiers, tier);
    all.keys.push_back({static_cast<int>(at - all.tiers.begin()), id.galois_element});
    if (at == all.tiers.end()) all.tiers.push_back(tier);
  }
  std::ranges::sort(all.keys);
  all.keys.erase(std::ranges::unique(all.keys).begin(), all.keys.end());
  return all;
}

std::uint64_t key_bytes_of(const TrainingPlan& plan) {
  std::uint64_t bytes = 0;
  for (const ckks::KeyShape& shape : ckks::shapes_of(all_keys_of(plan)))
    bytes += ckks::key_bytes(plan.parameters, shape);
  return bytes;
}

}  // namespace sotto::lowering
