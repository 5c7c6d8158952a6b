#include "compiler/bounds.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <random>
#include <span>

#include "base/error.h"
#include "base/parallel.h"
#include "compiler/scales.h"
#include "plan/interpret.h"

namespace sotto::compiler {

namespace {

using plan::Step;

constexpr double kMargin = 1.5, kMadeUpMargin = 4;
constexpr double kLeast = 1e-3;   // of a tensor that is always zero
constexpr double kMost = 0x1p28;  // beyond it no scale leaves any precision

}  // namespace

std::vector<std::vector<double>> made_up_images(const plan::Interface& io, bool extreme) {
  constexpr int kImages = 24;
  std::mt19937_64 rng(1);
  std::uniform_real_distribution<double> uniform(0, 1);
  std::vector<std::vector<double>> images(kImages);
  for (std::size_t k = 0; k < images.size(); ++k) {
    // From all black over any mixture to all white.
    const double threshold = 1.25 * static_cast<double>(kImages - 1 - k) / (kImages - 1) - 0.125;
    for (int c = 0; c < io.channels; ++c) {
      const auto channel = static_cast<std::size_t>(c);
      const double fx = 8 * uniform(rng), fy = 8 * uniform(rng), at = 6 * uniform(rng), share = uniform(rng);
      for (int y = 0; y < io.height; ++y) {
        for (int x = 0; x < io.width; ++x) {
          const double wave = 0.5 + 0.5 * std::sin(fx * x / io.width + fy * y / io.height + at);
          double v = share * uniform(rng) + (1 - share) * wave;
          if (extreme) v = v < threshold ? 0 : 1;
          images[k].push_back((v - io.mean[channel]) / io.std[channel]);
        }
      }
    }
  }
  return images;
}

namespace {

// Bounds that these images keep with a margin.
void widen(Bounds& bounds, const plan::Plan& lowered, const std::vector<std::vector<double>>& images, double margin,
           const std::function<void(std::size_t)>& progress = {}) {
  std::mutex mutex;
  std::size_t done = 0;
  parallel_for(images.size(), [&](std::size_t k) {
    plan::interpret(lowered, images[k], [&](int tensor, std::span<const double> v) {
      double largest = 0;
      for (double x : v) largest = std::max(largest, std::abs(x));
      const std::scoped_lock lock(mutex);
      double& bound = bounds[static_cast<std::size_t>(tensor)];
      bound = std::max(bound, margin * largest);
    });
    if (!progress) return;
    const std::scoped_lock lock(mutex);
    progress(++done);
  });
}

}  // namespace

Bounds measure_bounds(const plan::Plan& lowered, const std::vector<std::vector<double>>& images,
                      const std::function<void(std::size_t)>& progress) {
  Bounds bounds(lowered.tensors.size(), kLeast);
  if (images.empty() && has(lowered, Step::Finish::activate)) {
    for (const Step& s : lowered.steps) bounds[0] = std::max(bounds[0], s.activation.range);
    std::fill(bounds.begin(), bounds.end(), bounds[0]);
  } else {
    if (images.empty()) {
      widen(bounds, lowered, made_up_images(lowered.io, false), kMadeUpMargin);
      widen(bounds, lowered, made_up_images(lowered.io, true), kMargin);
    } else {
      widen(bounds, lowered, images, kMargin, progress);
    }
  }
  for (std::size_t t = 0; t < bounds.size(); ++t)
    if (!(bounds[t] < kMost))
      throw Error(ErrorCode::bad_input,
                  "values after '" + lowered.tensors[t].name + "' grow too large for encrypted arithmetic" +
                      (images.empty() ? " on made-up images; measure on real ones (--calibrate SRC)" : ""));
  for (const Step& s : lowered.steps)
    if (s.finish == Step::Finish::activate)
      for (int t : {s.output, s.terms.front().source}) bounds[static_cast<std::size_t>(t)] = s.activation.range;
  return bounds;
}

}  // namespace sotto::compiler
