#include "plan/noise.h"

#include <cmath>
#include <random>

#include "plan/interpret.h"
#include "plan/schedule.h"

namespace sotto::plan {

namespace {

constexpr double kSigma = 3.19;

}  // namespace

double NoiseModel::masked_weight(std::size_t period) { return std::sqrt(static_cast<double>(period) / 6); }
double NoiseModel::plain_weight() { return std::sqrt(1.0 / 12); }
double NoiseModel::rounding(int log_n) { return std::ldexp(2.0, log_n) / std::sqrt(18.0); }
double NoiseModel::encryption(int log_n) { return std::sqrt(std::ldexp(2.0, log_n) * (kSigma * kSigma + 1.0 / 12)); }

std::vector<double> simulate(const Plan& plan, std::span<const double> image, std::uint64_t seed,
                             const std::function<void(int, std::span<const double>)>& observe) {
  std::mt19937_64 rng(seed);
  std::normal_distribution<double> normal;
  const std::size_t period = std::max<std::size_t>(64, static_cast<std::size_t>(plan.tile) * plan.tile);
  const double masked = NoiseModel::masked_weight(period), plain = NoiseModel::plain_weight();
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

  Hooks hooks;
  hooks.input = [&](std::vector<double>& v) { disturb(0, v, NoiseModel::encryption(plan.parameters.log_n) / plan.input().scale); };
  hooks.sum = [&](int s, std::vector<double>& sum) {
    const Step& step = plan.steps[static_cast<std::size_t>(s)];
    const Layout& out = plan.tensors[static_cast<std::size_t>(step.output)].layout;
    const std::size_t plane = static_cast<std::size_t>(out.height) * out.width;
    std::vector<double> variance(plane);
    for (const Task& task : schedule.tasks) {
      if (task.step != s) continue;
      for (const Tap& tap : task.taps) {
        const Tensor& source = plan.tensors[static_cast<std::size_t>(tap.source.tensor)];
        const auto& e = energy[static_cast<std::size_t>(tap.source.tensor)];
        double mean = 0;
        for (double x : e) mean += x / static_cast<double>(e.size());
        const bool full = step.terms[static_cast<std::size_t>(tap.term)].kind == Term::Kind::full;
        const double deviation = (tap.mask.empty() ? plain : masked) * source.scale / step.scale;
        // Positions of a full term add up; of a convolution each output pixel has its own.
        const double weight = deviation * deviation * mean * (full ? static_cast<double>(plan.tile) * plan.tile : 1);
        for (int y = 0; y < out.height; ++y)
          for (int x = 0; x < out.width; ++x)
            if (full || place_of(out, plan.tile, y, x).phase == task.phase) variance[static_cast<std::size_t>(y) * out.width + x] += weight;
      }
    }
    for (std::size_t k = 0; k < sum.size(); ++k) sum[k] += std::sqrt(variance[k % plane]) * normal(rng);
  };
  hooks.result = [&](int s, std::vector<double>& v) {
    const Step& step = plan.steps[static_cast<std::size_t>(s)];
    const double scale = plan.tensors[static_cast<std::size_t>(step.output)].scale;
    disturb(step.output, v, step.finish == Step::Finish::keep ? 0 : rounding / scale);
    if (observe) observe(step.output, v);
  };
  return interpret(plan, image, hooks);
}

}  // namespace sotto::plan
