#include "plan/noise.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <numeric>
#include <string>

#include "circuit/term.h"
#include "ckks/encoder.h"
#include "plan/rounding.h"

namespace sotto::plan {

namespace {

// What moments of channels times moments of taps say is left of rounding errors is less than what is (measured).
constexpr double kLeftMore = 3;

// Whether every weight of a full term is the same at all pixels, as after a mean: then its plaintexts are constants.
bool is_mean(const Term& term, const Layout& in) {
  const std::size_t pixels = weights_per_pair(term, in);
  for (std::size_t k = 0; k < term.weights.size(); ++k)
    if (term.weights[k] != term.weights[k / pixels * pixels]) return false;
  return true;
}

}  // namespace

double NoiseModel::weight(const std::vector<std::uint8_t>& mask, std::size_t period) {
  if (mask.empty()) return std::sqrt(1.0 / 12);
  std::vector<double> slots(period);
  for (std::size_t j = 0; j < period; ++j) slots[j] = mask[j % mask.size()];
  const ckks::Encoder encoder(std::countr_zero(period), ring::RingKind::conjugate_invariant);
  const std::vector<double> coefficients = encoder.embed_inverse(std::span<const double>(slots));
  double squares = 0;
  for (std::size_t k = 0; k < period; ++k)
    if (std::abs(coefficients[k]) > 1e-9) squares += k == 0 ? 1 : 2;
  return std::sqrt(squares / 12);
}
double NoiseModel::rounding(int log_n) { return std::ldexp(2.0, log_n) / std::sqrt(18.0); }
double NoiseModel::bootstrap() { return 0x1p-15; }
double NoiseModel::encryption(int log_n) { return rounding(log_n); }

std::vector<double> rotated_share(const Plan& plan, const Schedule& schedule) {
  std::vector<double> all(plan.tensors.size()), rotated(plan.tensors.size());
  for (const Task& task : schedule.tasks)
    for (const Tap& tap : task.taps) {
      all[static_cast<std::size_t>(tap.source.tensor)] += 1;
      rotated[static_cast<std::size_t>(tap.source.tensor)] += rotations_of(plan, tap);
    }
  for (std::size_t t = 0; t < all.size(); ++t)
    if (all[t] > 0) rotated[t] /= all[t];
  return rotated;
}

namespace {

// How often each tap of a term meets a mask, and how often none: variances of masks and shares of pixels.
struct TapNoise {
  std::vector<double> masked, constant;
};

// Variance of a plaintext of a step whose coefficients are all rounded.
double every_coefficient(const Plan& plan, const Step& step) {
  return (2.0 * static_cast<double>(step_period(plan, step)) - 1) / 12;
}

TapNoise tap_noise(const Plan& plan, const Schedule& schedule, std::size_t s, std::size_t k, std::size_t taps) {
  const Step& step = plan.steps[s];
  const Layout& out = plan.tensors[static_cast<std::size_t>(step.output)].layout;
  TapNoise noise{std::vector<double>(taps), std::vector<double>(taps)};
  std::vector<double> share(static_cast<std::size_t>(out.phase_count()));  // of the pixels, by phase
  for (int y = 0; y < out.height; ++y)
    for (int x = 0; x < out.width; ++x)
      share[static_cast<std::size_t>(place_of(out, plan.tile, y, x).phase)] +=
          1.0 / (static_cast<double>(out.height) * out.width);
  std::map<std::string, double> known;  // by mask
  for (const Task& task : schedule.tasks) {
    if (task.step != static_cast<int>(s)) continue;
    const double pixels = share[static_cast<std::size_t>(task.phase)];
    for (const Tap& tap : task.taps) {
      if (tap.term != static_cast<int>(k) || tap.shift != 0) continue;
      const auto t = static_cast<std::size_t>(tap.tap);
      if (tap.mask.empty()) {
        noise.constant[t] += pixels;
        continue;
      }
      const auto [at, missing] = known.try_emplace({tap.mask.begin(), tap.mask.end()}, 0.0);
      if (missing)
        at->second = step.terms[k].map.empty() ? std::pow(NoiseModel::weight(tap.mask, step_period(plan, step)), 2)
                                               : every_coefficient(plan, step);
      noise.masked[t] += pixels * at->second;
    }
  }
  return noise;
}

// With several channels per ciphertext a plaintext holds the weights of many pairs of channels, so that all pairs that
// are moved alike have its error, even those without a connection.
WeightNoise grouped_noise(const Plan& plan, const Step& step, const Term& term) {
  const Layout& in = plan.tensors[static_cast<std::size_t>(term.source)].layout;
  const Layout& out = plan.tensors[static_cast<std::size_t>(step.output)].layout;
  const double positions = static_cast<double>(plan.tile.area());
  const double taps = term.kind == Term::Kind::full ? in.phase_count() * positions
                                                    : static_cast<double>(std::ranges::count(taps_in_use(term), true));
  const auto blocks = connected_blocks(plan, step, term);
  WeightNoise noise;
  for (int o = 0; o < out.channels; ++o)
    for (int i = 0; i < in.channels; ++i) {
      const auto move = blocks.find(packing::channel_move(in, o % out.group, i % in.group, plan.batch == 1));
      if (move != blocks.end() && move->second.contains({o / out.group, i / in.group}))
        noise.spread.push_back({o, i, taps * every_coefficient(plan, step)});
    }
  return noise;
}

// The same with channels in gaps.
WeightNoise noise_in_gaps(const Plan& plan, const Step& step, const Term& term) {
  const Layout& in = plan.tensors[static_cast<std::size_t>(term.source)].layout;
  const Layout& out = plan.tensors[static_cast<std::size_t>(step.output)].layout;
  const bool full = term.kind == Term::Kind::full;
  const double taps =
      full ? static_cast<double>(in.plane()) : static_cast<double>(std::ranges::count(taps_in_use(term), true));
  const auto blocks = connected_in_gaps(plan, step, term);
  WeightNoise noise;
  for (int o = 0; o < out.channels; ++o)
    for (int i = 0; i < in.channels; ++i) {
      const int to = full ? 0 : packing::offset_of(out, plan.tile, o % out.together());
      const int from = full ? 0 : packing::offset_of(in, plan.tile, i % in.together());
      const auto move = blocks.find(from - to);
      if (move != blocks.end() && move->second.contains({o / out.together(), i / in.together()}))
        noise.spread.push_back({o, i, taps * every_coefficient(plan, step)});
    }
  return noise;
}

WeightNoise single_noise(const Plan& plan, const Schedule& schedule, std::size_t s, std::size_t k) {
  const Step& step = plan.steps[s];
  const Term& term = step.terms[k];
  const Layout& in = plan.tensors[static_cast<std::size_t>(term.source)].layout;
  const Layout& out = plan.tensors[static_cast<std::size_t>(step.output)].layout;
  const std::size_t taps = weights_per_pair(term, in);
  WeightNoise noise;
  noise.constant.resize(taps);
  if (term.kind == Term::Kind::full) {
    if (is_mean(term, in)) {
      noise.constant.assign(taps, 1.0);
    } else {  // one plaintext with a value for each position of the tile, for each phase
      const double variance = in.phase_count() * static_cast<double>(plan.tile.area()) * every_coefficient(plan, step);
      for_each_pair(term, in, out, [&](int o, int i, const double*) { noise.spread.push_back({o, i, variance}); });
    }
    return noise;
  }
  TapNoise of_taps = tap_noise(plan, schedule, s, k, taps);
  for_each_pair(term, in, out, [&](int o, int i, const double* weights) {
    double variance = 0;
    for (std::size_t t = 0; t < taps; ++t)
      if (weights[t] != 0) variance += of_taps.masked[t];
    if (variance > 0) noise.spread.push_back({o, i, variance});
  });
  std::vector<int> masked;
  for (std::size_t t = 0; t < taps; ++t)
    if (of_taps.masked[t] > 0) masked.push_back(static_cast<int>(t));
  const Rounding rounding(plan.tensors[static_cast<std::size_t>(term.source)]);
  const Rounding::Factor factor = rounding.taps(term, masked);
  const double over_taps =
      masked.empty() ? 1 : std::accumulate(factor.variance.begin(), factor.variance.end(), 0.0) / masked.size();
  // Errors cancel where moments say what inputs have in common, and over channels only where all are read, as in a
  // depthwise layer they are not.
  const bool known = !plan.tensors[static_cast<std::size_t>(term.source)].moments.channels.empty();
  const bool across = reads_all_inputs(term, in);
  for (std::size_t c = 0; c < rounding.channels().size; ++c)
    noise.left.push_back(known ? std::min(1.0, kLeftMore * over_taps * (across ? rounding.share(c) : 1)) : 1);
  noise.constant = std::move(of_taps.constant);
  return noise;
}

}  // namespace

std::vector<std::vector<WeightNoise>> weight_noise(const Plan& plan, const Schedule& schedule) {
  std::vector<std::vector<WeightNoise>> noise(plan.steps.size());
  for (std::size_t s = 0; s < plan.steps.size(); ++s) {
    if (plan.steps[s].slotwise()) continue;
    const Step& step = plan.steps[s];
    const bool gaps = fills_gaps(plan, step);
    for (std::size_t k = 0; k < step.terms.size(); ++k)
      noise[s].push_back(gaps               ? noise_in_gaps(plan, step, step.terms[k])
                         : plan.group() > 1 ? grouped_noise(plan, step, step.terms[k])
                                            : single_noise(plan, schedule, s, k));
  }
  return noise;
}

}  // namespace sotto::plan
