#include "compiler/bounds.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <random>
#include <span>

#include "base/parallel.h"
#include "plan/interpret.h"

namespace sotto::compiler {

namespace {

using plan::Step;

constexpr double kMargin = 1.5, kMadeUpMargin = 4;
constexpr double kLeast = 1e-3;  // of a tensor that is always zero

// They only have to be as lively as real images.
std::vector<std::vector<double>> made_up_images(const plan::Interface& io) {
  constexpr int kImages = 24;
  std::mt19937_64 rng(1);
  std::uniform_real_distribution<double> uniform(0, 1);
  std::vector<std::vector<double>> images(kImages);
  for (auto& image : images) {
    for (int c = 0; c < io.channels; ++c) {
      const auto channel = static_cast<std::size_t>(c);
      const double fx = 8 * uniform(rng), fy = 8 * uniform(rng), at = 6 * uniform(rng), share = uniform(rng);
      for (int y = 0; y < io.height; ++y) {
        for (int x = 0; x < io.width; ++x) {
          const double wave = 0.5 + 0.5 * std::sin(fx * x / io.width + fy * y / io.height + at);
          const double v = share * uniform(rng) + (1 - share) * wave;
          image.push_back((v - io.mean[channel]) / io.std[channel]);
        }
      }
    }
  }
  return images;
}

bool has_activations(const plan::Plan& plan) {
  return std::any_of(plan.steps.begin(), plan.steps.end(),
                     [](const Step& s) { return s.finish == Step::Finish::activate; });
}

}  // namespace

Bounds measure_bounds(const plan::Plan& lowered, const std::vector<std::vector<double>>& images) {
  Bounds bounds(lowered.tensors.size(), kLeast);
  if (images.empty() && has_activations(lowered)) {
    for (const Step& s : lowered.steps) bounds[0] = std::max(bounds[0], s.activation.range);
    std::fill(bounds.begin(), bounds.end(), bounds[0]);
  } else {
    const auto made_up = images.empty() ? made_up_images(lowered.io) : std::vector<std::vector<double>>{};
    const auto& used = images.empty() ? made_up : images;
    const double margin = images.empty() ? kMadeUpMargin : kMargin;
    std::mutex mutex;
    parallel_for(used.size(), [&](std::size_t k) {
      plan::interpret(lowered, used[k], [&](int tensor, std::span<const double> v) {
        double largest = 0;
        for (double x : v) largest = std::max(largest, std::abs(x));
        const std::scoped_lock lock(mutex);
        double& bound = bounds[static_cast<std::size_t>(tensor)];
        bound = std::max(bound, margin * largest);
      });
    });
  }
  for (const Step& s : lowered.steps)
    if (s.finish == Step::Finish::activate)
      for (int t : {s.output, s.terms.front().source}) bounds[static_cast<std::size_t>(t)] = s.activation.range;
  return bounds;
}

}  // namespace sotto::compiler
