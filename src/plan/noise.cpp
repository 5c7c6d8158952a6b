#include "plan/noise.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <numeric>
#include <random>
#include <set>

#include "base/parallel.h"
#include "ckks/encoder.h"
#include "plan/interpret.h"
#include "plan/rounding.h"
#include "plan/term.h"

namespace sotto::plan {

namespace {

constexpr double kSigma = 3.19;

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
double NoiseModel::refresh() { return 0x1p-15; }
double NoiseModel::encryption(int log_n) { return std::sqrt(std::ldexp(2.0, log_n) * (kSigma * kSigma + 1.0 / 12)); }

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
  std::map<std::vector<std::uint8_t>, double> known;
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
      const auto [at, missing] = known.try_emplace(tap.mask, 0.0);
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
  const double positions = static_cast<double>(plan.tile) * plan.tile;
  const double taps = term.kind == Term::Kind::full ? in.phase_count() * positions
                                                    : static_cast<double>(std::ranges::count(taps_in_use(term), true));
  const auto blocks = connected_blocks(plan, step, term);
  WeightNoise noise;
  for (int o = 0; o < out.channels; ++o)
    for (int i = 0; i < in.channels; ++i) {
      const auto move = blocks.find(channel_move(plan, in, o % out.group, i % in.group));
      if (move != blocks.end() && move->second.contains({o / out.group, i / in.group}))
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
      const double variance =
          in.phase_count() * static_cast<double>(plan.tile) * plan.tile * every_coefficient(plan, step);
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
    noise.left.push_back(known ? std::min(1.0, over_taps * (across ? rounding.share(c) : 1)) : 1);
  noise.constant = std::move(of_taps.constant);
  return noise;
}

// Rounds a term's weights, times `scale`, as the runtime does those without masks: each tap by its share of pixels.
// together: whether it rounds those of a sum so that errors cancel.
void round_constants(Term& term, const Tensor& source, const Layout& out, double scale, const WeightNoise& noise,
                     bool together) {
  std::vector<int> list;
  for (std::size_t t = 0; t < noise.constant.size(); ++t)
    if (noise.constant[t] > 0) list.push_back(static_cast<int>(t));
  if (list.empty()) return;
  const Rounding rounding(source);
  const Rounding::Factor factor = together ? rounding.taps(term, list) : Rounding::Factor();
  std::vector<std::map<int, double*>> rows(static_cast<std::size_t>(out.channels));  // weights by input channel
  double* const first = term.weights.data();
  for_each_pair(term, source.layout, out, [&](int o, int i, const double* weights) {
    rows[static_cast<std::size_t>(o)][i] = first + (weights - first);
  });
  parallel_for(rows.size(), [&](std::size_t o) {
    std::vector<double> exact;
    std::vector<double*> weights;
    std::vector<int> channels;
    for (const auto& [channel, pair] : rows[o]) {
      channels.push_back(channel);
      for (int t : list) {
        weights.push_back(pair + t);
        exact.push_back(pair[t] * scale);
      }
    }
    std::vector<double> rounded = exact;
    std::vector<std::span<double>> vectors;
    for (double& w : rounded) vectors.push_back(w == 0 ? std::span<double>() : std::span<double>(&w, 1));
    if (together)
      rounding.round(factor, channels, vectors);
    else
      for (double& w : rounded) w = std::nearbyint(w);
    for (std::size_t k = 0; k < weights.size(); ++k)
      *weights[k] +=
          std::sqrt(noise.constant[static_cast<std::size_t>(list[k % list.size()])]) * (rounded[k] - exact[k]) / scale;
  });
}

// Mean square over the pixels of every channel.
std::vector<double> energy_of(const Layout& layout, std::span<const double> values) {
  const std::size_t plane = static_cast<std::size_t>(layout.height) * layout.width;
  std::vector<double> e(static_cast<std::size_t>(layout.channels));
  for (std::size_t k = 0; k < values.size(); ++k) e[k / plane] += values[k] * values[k] / static_cast<double>(plane);
  return e;
}

}  // namespace

std::vector<std::vector<WeightNoise>> weight_noise(const Plan& plan, const Schedule& schedule) {
  std::vector<std::vector<WeightNoise>> noise(plan.steps.size());
  for (std::size_t s = 0; s < plan.steps.size(); ++s) {
    if (plan.steps[s].slotwise()) continue;
    for (std::size_t k = 0; k < plan.steps[s].terms.size(); ++k)
      noise[s].push_back(plan.group() > 1 ? grouped_noise(plan, plan.steps[s], plan.steps[s].terms[k])
                                          : single_noise(plan, schedule, s, k));
  }
  return noise;
}

Simulation::Simulation(const Plan& plan) : plan_(plan), weights_(weight_noise(plan, make_schedule(plan))) {
  for (std::size_t s = 0; s < plan_.steps.size(); ++s) {
    Step& step = plan_.steps[s];
    for (std::size_t k = 0; k < weights_[s].size(); ++k) {
      Term& term = step.terms[k];
      if (weights_[s][k].constant.empty()) continue;
      const Tensor& source = plan_.tensors[static_cast<std::size_t>(term.source)];
      const Layout& out = plan_.tensors[static_cast<std::size_t>(step.output)].layout;
      round_constants(term, source, out, step.scale / source.scale, weights_[s][k], !weights_[s][k].left.empty());
    }
  }
}

std::vector<double> Simulation::run(std::span<const double> image, std::uint64_t seed,
                                    const std::function<void(int, std::span<const double>)>& observe) const {
  std::mt19937_64 rng(seed);
  std::normal_distribution<double> normal;
  const double rounding = NoiseModel::rounding(plan_.parameters.log_n);
  std::vector<std::vector<double>> energy(plan_.tensors.size());
  const auto disturb = [&](int tensor, std::vector<double>& v, double deviation) {
    for (double& x : v) x += deviation * normal(rng);
    energy[static_cast<std::size_t>(tensor)] = energy_of(plan_.tensors[static_cast<std::size_t>(tensor)].layout, v);
  };
  Hooks hooks;
  hooks.input = [&](std::vector<double>& v) {
    disturb(0, v, NoiseModel::encryption(plan_.parameters.log_n) / plan_.input().scale);
  };
  hooks.sum = [&](int s, std::vector<double>& sum) {
    const Step& step = plan_.steps[static_cast<std::size_t>(s)];
    if (step.slotwise()) return;
    const Layout& out = plan_.tensors[static_cast<std::size_t>(step.output)].layout;
    std::vector<double> variance(static_cast<std::size_t>(out.channels));
    for (std::size_t k = 0; k < step.terms.size(); ++k) {
      const auto source = static_cast<std::size_t>(step.terms[k].source);
      const WeightNoise& noise = weights_[static_cast<std::size_t>(s)][k];
      std::vector<double> e = energy[source];
      for (std::size_t i = 0; i < noise.left.size(); ++i) e[i] *= noise.left[i];
      const double unit = plan_.tensors[source].scale / step.scale;
      for (const WeightNoise::Pair& p : noise.spread)
        variance[static_cast<std::size_t>(p.out)] += unit * unit * p.variance * e[static_cast<std::size_t>(p.in)];
    }
    const std::size_t plane = static_cast<std::size_t>(out.height) * out.width;
    for (std::size_t k = 0; k < sum.size(); ++k) sum[k] += std::sqrt(variance[k / plane]) * normal(rng);
  };
  hooks.result = [&](int s, std::vector<double>& v) {
    const Step& step = plan_.steps[static_cast<std::size_t>(s)];
    const double scale = plan_.tensors[static_cast<std::size_t>(step.output)].scale;
    double deviation = step.finish == Step::Finish::keep && step.extra_primes == 0 ? 0 : rounding / scale;
    if (step.finish == Step::Finish::refresh)
      deviation = std::hypot(deviation, NoiseModel::refresh() * plan_.refresh->input_peak / step.scale);
    disturb(step.output, v, deviation);
    if (observe) observe(step.output, v);
  };
  return interpret(plan_, image, hooks);
}

}  // namespace sotto::plan
