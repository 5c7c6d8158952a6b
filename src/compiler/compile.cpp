#include "compiler/compile.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <optional>
#include <string>

#include "base/error.h"
#include "ckks/security.h"
#include "compiler/key_tiers.h"
#include "compiler/levels.h"
#include "compiler/lower.h"
#include "compiler/pack.h"
#include "compiler/place.h"
#include "compiler/probes.h"
#include "compiler/scales.h"
#include "compiler/weight_errors.h"
#include "packing/lay_out.h"
#include "plan/cost.h"
#include "plan/identity.h"
#include "plan/noise.h"
#include "plan/schedule.h"
#include "plan/verify.h"

namespace sotto::compiler {

namespace {

constexpr int kMostBabySteps = 8;

// Statistics of a plan's own tensors and steps, from those of its circuit: what is bootstrapped stays what it is.
Statistics expand(const Statistics& circuit, const plan::Plan& plan) {
  Statistics out = circuit;
  out.values.resize(plan.tensors.size());
  out.moments.resize(plan.tensors.size());
  out.sums.clear();
  std::size_t next = 0;
  for (const plan::Step& s : plan.steps) {
    if (s.kind != plan::Kind::bootstrap) {
      out.sums.push_back(circuit.sums[next++]);
      continue;
    }
    out.values[static_cast<std::size_t>(s.output)] = out.values[static_cast<std::size_t>(s.terms.front().source)];
    out.moments[static_cast<std::size_t>(s.output)] = out.moments[static_cast<std::size_t>(s.terms.front().source)];
    out.sums.push_back(out.values[static_cast<std::size_t>(s.output)]);
  }
  return out;
}

// Levels of a network that is deeper than the modulus, or that needs polynomials; nothing if a layer is too deep.
std::optional<plan::Plan> bootstrapped(plan::Plan packed, const Options& options) {
  packed.tensors[static_cast<std::size_t>(packed.steps.back().output)].level = options.output_limbs;
  packed.steps.back().late = 1;  // one prime would leave few bits to the weights of the last layer
  for (plan::Step& s : packed.steps) {
    if (s.kind == plan::Kind::square) {
      s.early = 1;
      s.late = options.precise ? 1 : 0;
    } else if (s.kind == plan::Kind::multiply && (options.precise || options.group > 1)) {
      s.late = 2;  // with groups, weights have masks over long periods and need more bits
    }
  }
  const std::optional<Placement> placement = place(packed);
  if (!placement) return std::nullopt;
  plan::Plan plan = insert_bootstraps(packed, *placement);
  plan.parameters.ciphertext_primes = placement->limbs;
  plan.parameters.special_primes = placement->special;
  plan.parameters.prime_bits = kPrimeBits;
  plan.parameters.primes_at_once = most_primes(kLogN, plan.parameters.security);
  return plan;
}

Draft with_scales(plan::Plan plan, const Statistics& statistics) {
  const Statistics expanded = expand(statistics, plan);
  for (std::size_t t = 0; t < plan.tensors.size(); ++t) plan.tensors[t].moments = expanded.moments[t];
  const plan::Schedule schedule = plan::make_schedule(plan);
  auto errors = weight_errors(plan, plan::weight_noise(plan, schedule));
  std::vector<double> rotated = plan::rotated_share(plan, schedule);
  Scales scales = choose_scales(plan, expanded, errors, rotated, ckks::primes_of(plan.parameters));
  return {std::move(plan), std::move(errors), std::move(rotated), std::move(scales)};
}

// Steps that read and write about as many channels, to a power of two, move them alike: networks whose layers all
// differ have few kinds of them, too.
std::map<std::pair<int, int>, std::vector<plan::Step*>> steps_by_channels(plan::Plan& plan) {
  const auto width = [&](int tensor) {
    const plan::Layout& layout = plan.tensors[static_cast<std::size_t>(tensor)].layout;
    return static_cast<int>(std::bit_ceil(static_cast<unsigned>(layout.channels)));
  };
  std::map<std::pair<int, int>, std::vector<plan::Step*>> steps;
  for (plan::Step& s : plan.steps) {
    if (s.slotwise()) continue;
    int widest = 0;
    for (const plan::Term& t : s.terms) widest = std::max(widest, width(t.source));
    steps[{widest, width(s.output)}].push_back(&s);
  }
  return steps;
}

// Keys, and with groups how far sources are rotated before sums are: that saves rotations of sums, but makes copies and
// needs keys. A plan that takes more than most_seconds without is left at that.
void choose_rotations(plan::Plan& plan, double most_seconds = HUGE_VAL) {
  const int primes = most_primes(plan.parameters.log_n, plan.parameters.security, plan.parameters.small_primes);
  const auto seconds = [&] {
    const plan::Schedule schedule = plan::make_schedule(plan);
    choose_keys(plan, schedule, primes);
    return plan::estimate(plan, schedule).seconds(plan::kTypicalSpeed);
  };
  const int most = std::min(plan.group(), kMostBabySteps);
  if (most > 1) {
    double least = seconds();
    if (least > most_seconds) return;
    for (auto& [widths, steps] : steps_by_channels(plan)) {
      for (int baby = 2; baby <= most; baby *= 2) {
        for (plan::Step* s : steps) s->baby = baby;
        const double now = seconds();
        if (now < least) {
          least = now;
          continue;
        }
        for (plan::Step* s : steps) s->baby = baby / 2;
        break;
      }
    }
  }
  choose_keys(plan, plan::make_schedule(plan), primes);
}

[[noreturn]] void refuse(ckks::SecurityLevel level) {
  if (!ckks::has_bootstrapping(kLogN, level))
    throw Error(ErrorCode::no_resources,
                "this network does not fit: it needs more levels than there are at " +
                    std::string(ckks::describe(level)) +
                    ", where nothing is bootstrapped, as no bound for the sparse secret is published; take 128 bits "
                    "(security), or fewer layers");
  throw Error(ErrorCode::no_resources,
              "a layer of this network needs more levels than bootstrapping leaves at 128-bit security; allow a larger "
              "error of its activations",
              Setting::function_error);
}

// The largest tile that leaves room for the batch.
packing::Axes tile_for(const circuit::Circuit& circuit, const Options& options) {
  packing::Axes tile = largest_tile(circuit, options.square_tiles);
  while ((1 << kLogN) / (tile.area() * options.group) < options.batch) {
    std::optional<packing::Axes> half = half_of(tile, circuit);
    if (half && options.square_tiles) half = half_of(*half, circuit);
    if (!half || (options.square_tiles && half->h != half->w)) break;
    tile = *half;
  }
  return tile;
}

// The circuit in its packing, in a ring; nothing if one image has no room in a ciphertext.
std::optional<plan::Plan> packed_plan(const MeasuredCircuit& network, const Options& options) {
  if (options.batch < 1 || options.batch > 65536) throw Error(ErrorCode::usage, "a batch is of 1 to 65536 images");
  if (options.group < 1 || options.group > plan::kMaxGroup ||
      !std::has_single_bit(static_cast<unsigned>(options.group)))
    throw Error(ErrorCode::usage,
                "channels per ciphertext must be a power of two up to " + std::to_string(plan::kMaxGroup));
  const packing::Axes tile = tile_for(network.circuit, options);
  const int batch = (1 << kLogN) / (tile.area() * options.group);
  if (batch < 1) return std::nullopt;
  plan::Plan packed = pack(network.circuit, {tile, options.group, options.fill});
  packed.network = network.name;
  packed.io = network.io;
  packed.parameters.log_n = kLogN;
  packed.parameters.kind = ring::RingKind::conjugate_invariant;
  packed.parameters.security = options.security;
  packed.batch = batch;
  packed.tensors[static_cast<std::size_t>(packed.steps.back().output)].level = options.output_limbs;
  return packed;
}

}  // namespace

MeasuredCircuit measured_circuit(const graph::Network& network, const Calibration& calibration, double relu_error,
                                 const std::function<void(std::size_t)>& progress, Output output) {
  MeasuredCircuit out{network.name, interface_of(network), lower(network, relu_error, output), {}};
  out.statistics = measure(out.circuit, calibration, progress);
  return out;
}

const plan::Step& Compiled::worst() const {
  return plan.steps[static_cast<std::size_t>(std::ranges::max_element(step_errors) - step_errors.begin())];
}

bool has_gaps(const MeasuredCircuit& network, const Options& options) {
  const auto layouts = packing::lay_out(network.circuit, tile_for(network.circuit, options), options.group, true);
  return std::ranges::any_of(layouts, [](const packing::Layout& l) { return l.fill != packing::Axes(1); });
}

std::optional<plan::Plan> outline(const MeasuredCircuit& network, const Options& options, const MostSeconds& most) {
  std::optional<plan::Plan> packed = packed_plan(network, options);
  if (!packed) return std::nullopt;
  if (plan::has(*packed, plan::Kind::activate) || !assign_levels(*packed))
    packed = bootstrapped(std::move(*packed), options);
  if (packed) choose_rotations(*packed, most ? most(packed->batch) : HUGE_VAL);
  return packed;
}

Compiled compile(const MeasuredCircuit& network, const Options& options) {
  std::optional<plan::Plan> packed = packed_plan(network, options);
  if (!packed)
    throw Error(ErrorCode::bad_input, "the ring has no room for " + std::to_string(options.group) +
                                          " channels of this network in a ciphertext");
  const auto scores = static_cast<double>(packed->output().layout.size());
  const WantedVariance wanted{std::pow(options.score_error, 2) * scores,
                              std::pow(options.cheap_score_error, 2) * scores};
  std::optional<Draft> draft;
  if (!plan::has(*packed, plan::Kind::activate))
    draft = levels_without_bootstraps(*packed, network.statistics, wanted, options.small_primes);
  if (!draft || (options.precise && draft->scales.total_variance() > wanted.at_most)) {
    std::optional<plan::Plan> plan = bootstrapped(std::move(*packed), options);
    if (!plan && !draft) refuse(options.security);
    std::optional<Draft> other;
    if (plan) other = with_scales(std::move(*plan), network.statistics);
    if (!draft || (other && other->scales.total_variance() < draft->scales.total_variance())) draft = std::move(other);
  }
  Compiled out{std::move(draft->plan), 0, std::move(draft->scales.variance), std::move(draft->errors),
               std::move(draft->rotated)};
  apply_scales(out.plan, draft->scales);
  for (double& v : out.step_errors) {
    out.score_error += v / scores;
    v = std::sqrt(v / scores);
  }
  out.score_error = std::sqrt(out.score_error);
  choose_rotations(out.plan);
  place_probes(out.plan);
  plan::verify(out.plan);
  out.plan.id = plan::plan_id(out.plan);
  return out;
}

Compiled compile(const graph::Network& network, const Options& options, double relu_error) {
  return compile(measured_circuit(network, made_up_calibration(interface_of(network)), relu_error), options);
}

}  // namespace sotto::compiler
