#include "plan/noise.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>
#include <set>
#include <tuple>

#include "ckks/encoder.h"
#include "plan/interpret.h"
#include "plan/schedule.h"

namespace sotto::plan {

namespace {

constexpr double kSigma = 3.19;

// Whether every weight of a full term is the same at all pixels, as after a mean: then its plaintexts are constants.
bool is_mean(const Term& term, const Layout& in) {
  const std::size_t plane = static_cast<std::size_t>(in.height) * in.width;
  for (std::size_t k = 0; k < term.weights.size(); ++k)
    if (term.weights[k] != term.weights[k / plane * plane]) return false;
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

std::vector<double> simulate(const Plan& plan, std::span<const double> image, std::uint64_t seed,
                             const std::function<void(int, std::span<const double>)>& observe) {
  std::mt19937_64 rng(seed);
  std::normal_distribution<double> normal;
  const double rounding = NoiseModel::rounding(plan.parameters.log_n);
  const Schedule schedule = make_schedule(plan);
  std::vector<std::vector<double>> energy(plan.tensors.size());  // sum over channels of squares, per pixel
  const auto disturb = [&](int tensor, std::vector<double>& v, double deviation) {
    for (double& x : v) x += deviation * normal(rng);
    const Layout& l = plan.tensors[static_cast<std::size_t>(tensor)].layout;
    const std::size_t plane = static_cast<std::size_t>(l.height) * l.width;
    auto& e = energy[static_cast<std::size_t>(tensor)];
    e.assign(plane, 0);
    for (std::size_t k = 0; k < v.size(); ++k) e[k % plane] += v[k] * v[k];
  };

  const auto every_coefficient = [](std::size_t period) {
    return std::sqrt((2.0 * static_cast<double>(period) - 1) / 12);
  };
  std::vector<std::pair<std::vector<std::uint8_t>, double>> known;
  const auto mask_noise = [&](const std::vector<std::uint8_t>& mask, std::size_t period) {
    for (const auto& [m, noise] : known)
      if (m.size() == mask.size() && std::equal(m.begin(), m.end(), mask.begin())) return noise;
    return known.emplace_back(mask, NoiseModel::weight(mask, period)).second;
  };

  Hooks hooks;
  hooks.input = [&](std::vector<double>& v) {
    disturb(0, v, NoiseModel::encryption(plan.parameters.log_n) / plan.input().scale);
  };
  hooks.sum = [&](int s, std::vector<double>& sum) {
    const Step& step = plan.steps[static_cast<std::size_t>(s)];
    if (step.slotwise()) return;
    const Layout& out = plan.tensors[static_cast<std::size_t>(step.output)].layout;
    const std::size_t plane = static_cast<std::size_t>(out.height) * out.width;
    std::vector<double> variance(plane);
    for (const Task& task : schedule.tasks) {
      if (task.step != s) continue;
      const std::size_t period = step_period(plan, step);
      std::set<std::tuple<int, int, int, std::int64_t>> counted;
      for (const Tap& tap : task.taps) {
        // With groups every channel meets an output place in one of the products of a tap, whatever its shift.
        const std::int64_t pixels = tap.source.rotation - std::int64_t{tap.shift} * plan.tile * plan.tile;
        if (!counted.insert({tap.term, tap.tap, tap.source.phase, pixels}).second) continue;
        const Tensor& source = plan.tensors[static_cast<std::size_t>(tap.source.tensor)];
        const auto& e = energy[static_cast<std::size_t>(tap.source.tensor)];
        double mean = 0;
        for (double x : e) mean += x / static_cast<double>(e.size());
        const Term& term = step.terms[static_cast<std::size_t>(tap.term)];
        const bool full = term.kind == Term::Kind::full;
        const bool dense = plan.group() > 1 || (full && !is_mean(term, source.layout)) || !term.map.empty();
        const double rounding_of_weight = dense ? every_coefficient(period) : mask_noise(tap.mask, period);
        const double deviation = rounding_of_weight * source.scale / step.scale;
        // Positions of a full term add up; of a convolution each output pixel has its own.
        const double weight = deviation * deviation * mean * (full ? static_cast<double>(plan.tile) * plan.tile : 1);
        for (int y = 0; y < out.height; ++y)
          for (int x = 0; x < out.width; ++x)
            if (full || place_of(out, plan.tile, y, x).phase == task.phase)
              variance[static_cast<std::size_t>(y) * out.width + x] += weight;
      }
    }
    for (std::size_t k = 0; k < sum.size(); ++k) sum[k] += std::sqrt(variance[k % plane]) * normal(rng);
  };
  hooks.result = [&](int s, std::vector<double>& v) {
    const Step& step = plan.steps[static_cast<std::size_t>(s)];
    const double scale = plan.tensors[static_cast<std::size_t>(step.output)].scale;
    double deviation = step.finish == Step::Finish::keep && step.extra_primes == 0 ? 0 : rounding / scale;
    if (step.finish == Step::Finish::refresh)
      deviation = std::hypot(deviation, NoiseModel::refresh() * plan.refresh->input_peak / step.scale);
    disturb(step.output, v, deviation);
    if (observe) observe(step.output, v);
  };
  return interpret(plan, image, hooks);
}

}  // namespace sotto::plan
