#include "plan/verify.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>

#include "base/error.h"
#include "circuit/term.h"
#include "ckks/chebyshev.h"
#include "plan/probe.h"
#include "plan/schedule.h"
#include "ring/primes.h"

namespace sotto::plan {

namespace {

[[noreturn]] void bad(const std::string& what) { throw Error(ErrorCode::bad_input, "the plan is not valid: " + what); }

bool power_of_two(int v) { return v > 0 && (v & (v - 1)) == 0; }

void verify_layout(const Layout& l, const Axes& tile) {
  if (l.channels < 1 || l.channels > 65536 || l.height < 1 || l.width < 1 || l.height > 4096 || l.width > 4096)
    bad("a tensor has an impossible shape");
  const auto verify_axis = [](int size, int phases, int gap, int fill, int side) {
    if (!power_of_two(phases) || phases > kMostPhases || gap < 1 || gap > 4096)
      bad("a tensor has an impossible layout");
    if (!power_of_two(fill) || fill > gap || (fill > 1 && phases > 1))
      bad("a tensor has channels where there is no gap");
    if ((size - 1) * gap + fill > phases * side) bad("a tensor does not fit its ciphertexts");
  };
  verify_axis(l.height, l.phases.h, l.gap.h, l.fill.h, tile.h);
  verify_axis(l.width, l.phases.w, l.gap.w, l.fill.w, tile.w);
  if (l.group > 1 && l.fill != Axes(1)) bad("a tensor has channels in groups and in gaps");
}

void verify_moments(const Tensor& t) {
  const Moments& m = t.moments;
  const auto c = static_cast<std::size_t>(t.layout.channels), reach = static_cast<std::size_t>(m.reach);
  if (m.channels.empty() && m.neighbours.empty()) return;
  if (m.reach < 0 || m.reach > 63 || m.channels.size() != c * c || m.neighbours.size() != (reach + 1) * (2 * reach + 1))
    bad("a tensor has impossible moments");
  const auto within = [](double v, double most) { return std::abs(v) <= most; };
  for (double v : m.neighbours)
    if (!within(v, 1.001)) bad("a tensor has impossible moments");
  for (std::size_t i = 0; i < c; ++i)
    for (std::size_t j = 0; j < c; ++j)
      if (!(m.channels[i * c + i] >= 0) || !within(m.channels[i * c + i], 0x1p400) ||
          !within(m.channels[i * c + j], 1.001 * std::sqrt(m.channels[i * c + i] * m.channels[j * c + j]) + 0x1p-400))
        bad("a tensor has impossible moments");
}

void verify_activation(const Activation& a, const std::string& name) {
  if (!(a.range > 0) || !(a.range < circuit::kMostRange) || a.factors.empty() || a.factors.size() > 8)
    bad(name + "impossible activation");
  for (const auto& factor : a.factors) {
    if (factor.size() < 2 || factor.size() > 256) bad(name + "impossible activation");
    for (double c : factor)
      if (!(std::abs(c) < 4)) bad(name + "impossible activation");
  }
}

// Who reads the tensors.
struct Readers {
  std::vector<bool> by_products, by_others;
  std::vector<bool> spread;  // whether the step that makes it spreads it

  explicit Readers(const Plan& plan)
      : by_products(plan.tensors.size()), by_others(plan.tensors.size()), spread(plan.tensors.size()) {
    const auto known = [&](int t) { return t >= 0 && static_cast<std::size_t>(t) < by_others.size(); };
    for (const Step& s : plan.steps) {
      if (known(s.output)) spread[static_cast<std::size_t>(s.output)] = s.spread;
      for (const Term& t : s.terms)
        if (known(t.source))
          (s.kind == Kind::multiply ? by_products : by_others)[static_cast<std::size_t>(t.source)] = true;
    }
  }
  // Whether nothing but products reads it.
  [[nodiscard]] bool is_factor(int tensor) const {
    return by_products[static_cast<std::size_t>(tensor)] && !by_others[static_cast<std::size_t>(tensor)];
  }
};

// The second factor of a product lies as the first one, or one pixel of it in all positions of the tile.
void verify_product(const Plan& plan, const Step& step, const Readers& readers, const std::string& name) {
  const int second = step.terms.back().source;
  const Layout &in = plan.tensors[static_cast<std::size_t>(second)].layout,
               &out = plan.tensors[static_cast<std::size_t>(step.output)].layout;
  if (in == out) return;
  const bool spread = plan.tile == Axes(1) || readers.spread[static_cast<std::size_t>(second)];
  if (!spread || in.channels != out.channels || in.plane() != 1 || in.phases != Axes(1) || out.fill != Axes(1))
    bad(name + "its factors do not lie alike");
}

// Steps that work slot by slot: activations, products and bootstraps.
void verify_slotwise(const Plan& plan, const Step& step, const Readers& readers, const std::string& name) {
  const Tensor& out = plan.tensors[step.output];
  for (const Term& t : step.terms)
    if (t.kind != Term::Kind::copy || !t.weights.empty() || !t.blocks.empty() || !t.map.empty())
      bad(name + "it does not copy tensors");
  const Tensor& first = plan.tensors[step.terms.front().source];
  if (step.terms.size() != (step.kind == Kind::multiply ? 2 : 1) || !step.bias.empty() || step.baby != 1 ||
      !(first.layout == out.layout))
    bad(name + "it does not copy one tensor");
  if (!(std::abs(step.scale / first.scale - 1) < 1e-5)) bad(name + "impossible scale");
  if (step.kind == Kind::multiply) {
    if (out.level != levels_of(plan, step).result) bad(name + "wrong level of the output");
    return verify_product(plan, step, readers, name);
  }
  // The largest result in slots: coefficients at this scale must stay below 2^62.
  const auto verify_peak = [&](double largest) {
    if (!(out.scale * largest < 0x1p56)) bad(name + "impossible scale");
  };
  if (step.kind == Kind::activate) {
    verify_activation(step.activation, name);
    verify_peak(step.activation.range);
    if (out.level != levels_of(plan, step).result) bad(name + "wrong level of the output");
    return;
  }
  if (!plan.bootstrapping) bad(name + "there is no bootstrapping circuit");
  verify_peak(plan.bootstrapping->input_peak / step.scale);
  if (step.level != plan.bootstrapping->input_limbs() || out.level.limbs > plan.bootstrapping->output_limbs() ||
      !(plan.bootstrapping->input_peak / step.scale > 0x1p-20) ||
      !(plan.bootstrapping->input_peak / step.scale < 0x1p30))
    bad(name + "its level or scale does not fit bootstrapping");
}

// No block beyond the channels, and no pair of channels in two blocks.
void verify_blocks(const Term& t, const Layout& in, const Layout& out, const std::string& name) {
  std::map<std::pair<int, int>, std::vector<std::pair<int, int>>> inputs;  // by outputs
  for (const Block& b : t.blocks) {
    if (b.out < 0 || b.in < 0 || b.outs < 1 || b.ins < 1 || b.outs > out.channels - b.out || b.ins > in.channels - b.in)
      bad(name + "it connects channels that are not there");
    inputs[{b.out, b.outs}].emplace_back(b.in, b.ins);
  }
  std::vector<std::vector<std::pair<int, int>>> by_output(static_cast<std::size_t>(out.channels));
  std::size_t entries = 0;
  for (auto& [rows, list] : inputs) {
    entries += static_cast<std::size_t>(rows.second) * list.size();
    if (entries > (std::size_t{1} << 26)) bad(name + "too many blocks of channels");
    for (int o = rows.first; o < rows.first + rows.second; ++o)
      by_output[static_cast<std::size_t>(o)].insert(by_output[static_cast<std::size_t>(o)].end(), list.begin(),
                                                    list.end());
  }
  for (auto& list : by_output) {
    std::sort(list.begin(), list.end());
    for (std::size_t k = 1; k < list.size(); ++k)
      if (list[k].first < list[k - 1].first + list[k - 1].second) bad(name + "it connects two channels twice");
  }
}

void verify_term(const Term& t, const Layout& in, const Layout& out, const std::string& name) {
  const auto range = [](int v, int lo, int hi) { return v >= lo && v <= hi; };
  if (!range(t.kernel_h, 1, 64) || !range(t.kernel_w, 1, 64) || !range(t.stride_h, 1, 4096) ||
      !range(t.stride_w, 1, 4096) || !range(t.pad_top, -4096, 4096) || !range(t.pad_left, -4096, 4096) ||
      !range(t.dilation_h, 1, 4096) || !range(t.dilation_w, 1, 4096))
    bad(name + "impossible convolution");
  const std::size_t plane = static_cast<std::size_t>(out.height) * out.width;
  const bool full = t.kind == Term::Kind::full;
  if (t.even && !full) bad(name + "only a full connection has one weight for all pixels");
  if (full && (plane != 1 || out.fill != Axes(1))) bad(name + "a full connection has one output pixel, by itself");
  if (!t.map.empty() && (full || t.map.size() != plane)) bad(name + "wrong map of factors");
  // What the schedule walks through; real networks stay far below.
  const double visits = static_cast<double>(out.phase_count()) * static_cast<double>(plane) *
                        static_cast<double>(full ? 1 : weights_per_pair(t, in));
  if (visits > 1e9) bad(name + "too large to schedule");
  verify_blocks(t, in, out, name);
  std::size_t pairs = 0;
  for (const Block& b : blocks_of(t, in, out)) pairs += static_cast<std::size_t>(b.outs) * b.ins;
  if (t.weights.size() != pairs * weights_per_pair(t, in)) bad(name + "wrong number of weights");
  const auto finite = [](double v) { return std::isfinite(v); };
  if (!std::all_of(t.weights.begin(), t.weights.end(), finite) || !std::all_of(t.map.begin(), t.map.end(), finite))
    bad(name + "a weight is not a number");
}

// Divisions lead to levels that there are, and only small primes join the modulus.
void verify_divisions(const Plan& plan, const Step& step, const std::string& name) {
  if (units_taken(step) >= ckks::units_of(step.level, plan.parameters.small_primes)) bad(name + "its level is too low");
  const StepLevels levels = levels_of(plan, step);
  verify_level(plan.parameters, levels.product, name);
  verify_level(plan.parameters, levels.result, name);
  if (levels.product.limbs > levels.sum.limbs || levels.result.limbs > levels.product.limbs)
    bad(name + "impossible division at this level");
}

void verify_step(const Plan& plan, const Step& step, std::size_t index, const Readers& readers,
                 std::vector<bool>& ready) {
  const std::string name = "layer " + step.name + ": ";
  const int count = static_cast<int>(plan.tensors.size());
  if (step.output < 1 || step.output >= count || ready[step.output]) bad(name + "wrong output");
  const Tensor& out = plan.tensors[step.output];
  verify_level(plan.parameters, step.level, name);
  if (!(step.scale > 0x1p-600) || !(step.scale < 0x1p600)) bad(name + "impossible scale");
  const bool last = index + 1 == plan.steps.size();
  if (step.keep != (last || readers.is_factor(step.output)) || (step.keep && step.kind != Kind::sum))
    bad(name + "only the last layer and factors keep their level");
  const bool sums_pixels = std::ranges::any_of(step.terms, [](const Term& t) { return t.kind == Term::Kind::full; });
  if (step.spread && (!step.keep || last || out.layout.plane() != 1 || sums_pixels))
    bad(name + "only a factor of one pixel is spread");
  const int most = kMostDivided * (plan.parameters.small_primes + 1);
  const int least = step.kind == Kind::multiply ? 1 : 0;  // a product is divided as it is relinearised
  if (step.early < 0 || step.early > (step.kind == Kind::square ? most : 0) || step.late < least ||
      step.late > (divides(plan, step) ? most : 0))
    bad(name + "impossible level");
  if (step.kind != Kind::activate) verify_divisions(plan, step, name);
  if (!step.slotwise() && out.level != levels_of(plan, step).result) bad(name + "wrong level of the output");
  if (!power_of_two(step.baby) || step.baby > plan.group()) bad(name + "impossible rotations");
  if (step.terms.empty() || step.terms.size() > 256) bad(name + "wrong number of terms");
  const std::size_t plane = static_cast<std::size_t>(out.layout.height) * out.layout.width;
  const auto channels = static_cast<std::size_t>(out.layout.channels);
  if (!step.slotwise() && step.bias.size() != channels && step.bias.size() != channels * plane)
    bad(name + "wrong bias");
  for (double b : step.bias)
    if (!std::isfinite(b)) bad(name + "a bias is not a number");
  for (const Term& t : step.terms) {
    if (t.source < 0 || t.source >= count || !ready[t.source]) bad(name + "reads a tensor that is not there yet");
    const Tensor& in = plan.tensors[t.source];
    if (!in.level.covers(step.level)) bad(name + "reads a tensor of a lower level");
    if (step.slotwise()) continue;
    if (t.kind == Term::Kind::copy) bad(name + "a sum cannot copy a tensor");
    verify_term(t, in.layout, out.layout, name);
  }
  if (step.slotwise()) verify_slotwise(plan, step, readers, name);
  ready[step.output] = true;
}

// A square of a sum at scale s has the scale (s / q)^2 / r, another sum s / r; q and r are the products of the primes
// by which the step divides before and after. The argument of a polynomial has that of the prime by which its first
// power is divided.
void verify_scales(const Plan& plan) {
  const auto& p = plan.parameters;
  const auto primes = ckks::primes_of(p);
  for (const Step& s : plan.steps) {
    if (s.kind == Kind::activate &&
        !(std::abs(s.scale * s.activation.range /
                       static_cast<double>(primes[static_cast<std::size_t>(s.level.limbs - 1)]) -
                   1) < 1e-5))
      bad("layer " + s.name + ": its scale does not fit its range");
    if (s.kind == Kind::activate || s.kind == Kind::bootstrap) continue;
    double expected = result_scale(s, {levels_of(plan, s), primes}, s.scale);
    if (s.kind == Kind::multiply) expected *= plan.tensors[static_cast<std::size_t>(s.terms.back().source)].scale;
    if (!(std::abs(plan.tensors[static_cast<std::size_t>(s.output)].scale / expected - 1) < 1e-5))
      bad("layer " + s.name + ": the scale of its output does not follow from its own");
  }
}

}  // namespace

void verify_level(const ckks::ParametersSpec& p, const ckks::Level& level, const std::string& name) {
  if (level.absent < 0 || level.absent > p.small_primes || level.limbs <= p.small_primes ||
      level.limbs > p.ciphertext_primes)
    bad(name + "impossible level");
}

void verify_interface(const ckks::ParametersSpec& parameters, const Axes& tile, int batch, const Tensor& input,
                      const Interface& io) {
  const std::int64_t slots = std::int64_t{1} << parameters.log_n, group = input.layout.group;
  for (int side : {tile.h, tile.w})
    if (!power_of_two(side) || side > packing::kMostTileSide) bad("impossible tile");
  if (!power_of_two(input.layout.group) || group > kMaxGroup) bad("impossible number of channels per ciphertext");
  // A mask is constant over runs of slots / period words, which the matrix products of single channels take in pieces
  // of 16.
  if ((group == 1 ? 16 : 1) * group * tile.area() > slots) bad("impossible tile");
  if (parameters.kind != ring::RingKind::conjugate_invariant) bad("networks run in the conjugate-invariant ring");
  if (batch < 1 || batch != slots / (group * tile.area())) bad("batch and tile do not fit the ring");
  verify_layout(input.layout, tile);
  const Layout& in = input.layout;
  const auto channels = static_cast<std::size_t>(io.channels);
  if (in.channels != io.channels || in.height != io.height || in.width != io.width || in.gap != Axes(1) ||
      io.mean.size() != channels || io.std.size() != channels)
    bad("its interface does not fit the input");
  for (double s : io.std)
    if (!(s > 0)) bad("a standard deviation is not positive");
  if (io.outputs < 1 || io.outputs > 65536) bad("impossible number of scores");
  if (!io.classes.empty() && io.classes.size() != static_cast<std::size_t>(io.outputs))
    bad("class names and scores differ in number");
}

void verify_keys(const ckks::ParametersSpec& parameters, const ckks::KeyRequest& keys) {
  if (keys.tiers.empty() || keys.tiers.size() > 64 || keys.keys.size() > 4096) bad("impossible key list");
  for (const ckks::KeyTier& t : keys.tiers)
    if (t.max_limbs < 1 || t.max_limbs > parameters.ciphertext_primes || t.special < 1 ||
        t.special > parameters.special_primes || t.max_limbs + t.special > parameters.most_at_once() || t.digits() > 8)
      bad("impossible key tier");
  // The key to the sparse secret is safe under the smallest modulus only.
  int ephemeral_tiers = 0;
  for (const ckks::KeyTier& t : keys.tiers)
    if (t.ephemeral && (t.max_limbs != 1 || t.special != 1 || ++ephemeral_tiers > 1))
      bad("impossible tier for the ephemeral secret");
  const std::uint64_t order = std::uint64_t{4} << parameters.log_n;
  const ckks::KeyId* previous = nullptr;
  for (const ckks::KeyId& id : keys.keys) {
    if (id.tier < 0 || id.tier >= static_cast<int>(keys.tiers.size())) bad("a key has no tier");
    const bool special = id.galois_element == ckks::kRelinearise || id.galois_element == ckks::kToEphemeral ||
                         id.galois_element == ckks::kFromEphemeral;
    if (!special && (id.galois_element % 4 != 1 || id.galois_element >= order))
      bad("a key has an impossible Galois element");
    if (keys.tiers[static_cast<std::size_t>(id.tier)].ephemeral != (id.galois_element == ckks::kToEphemeral))
      bad("a key has the wrong tier");
    if (previous != nullptr && !(*previous < id)) bad("its key list is not sorted");
    previous = &id;
  }
}

void verify(const Plan& plan) {
  if (plan.tensors.empty() || plan.steps.empty() || plan.tensors.size() > 100000) bad("it is empty");
  verify_interface(plan.parameters, plan.tile, plan.batch, plan.input(), plan.io);
  const auto verify_name = [](const std::string& name) {
    if (name.size() > 4096) bad("a name is too long");
  };
  verify_name(plan.network);
  if (plan.bootstrapping) {
    if (plan.parameters.small_primes > 0) bad("it bootstraps with small primes");
    bootstrap::verify(*plan.bootstrapping, plan.parameters.log_n);
    if (std::max(plan.bootstrapping->raised_limbs, plan.bootstrapping->input_limbs()) >
        plan.parameters.ciphertext_primes)
      bad("it has too few primes for bootstrapping");
    if (std::none_of(plan.steps.begin(), plan.steps.end(), [](const Step& s) { return s.kind == Kind::bootstrap; }))
      bad("it has a bootstrapping circuit without use");
  }
  for (const Step& s : plan.steps) verify_name(s.name);
  for (const Tensor& t : plan.tensors) {
    verify_name(t.name);
    verify_layout(t.layout, plan.tile);
    if (t.layout.group != plan.group()) bad("its tensors are packed differently");
    verify_level(plan.parameters, t.level, "the tensor " + t.name + ": ");
    if (!(t.scale > 0x1p-400) || !(t.scale < 0x1p400))
      bad("the tensor " + t.name + " has an impossible scale (2^" + std::to_string(std::log2(t.scale)) + ")");
  }
  const Readers readers(plan);
  std::vector<bool> ready(plan.tensors.size());
  ready[0] = true;
  for (std::size_t i = 0; i < plan.steps.size(); ++i) verify_step(plan, plan.steps[i], i, readers, ready);
  for (const Tensor& t : plan.tensors) verify_moments(t);
  if (plan.output().layout.channels != plan.io.outputs) bad("its last layer has not as many channels as it says");
  if (plan.output().layout.fill != Axes(1)) bad("channels of its last layer lie in gaps");
  verify_scales(plan);
  verify_probes(plan);
  verify_keys(plan.parameters, plan.keys);
  const auto needed = required_keys(plan, make_schedule(plan));
  const std::set<ckks::KeyId> have(plan.keys.keys.begin(), plan.keys.keys.end());
  for (const ckks::KeyId& id : needed)
    if (!have.contains(id)) bad("its key list is incomplete");
}

void require_scores(const Plan& plan) {
  if (plan.output().layout.plane() != 1) bad("its last layer is not a vector of scores");
}

}  // namespace sotto::plan
