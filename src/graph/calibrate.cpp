#include "graph/calibrate.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <mutex>
#include <numeric>

#include "base/error.h"
#include "base/parallel.h"
#include "graph/interpreter.h"

namespace sotto::graph {

namespace {

constexpr double kMargin = 1.5, kMostMargin = 3;      // over the largest magnitude that was measured
constexpr std::size_t kTail = 8, kLeastForTail = 32;  // the largest images are one in kTail
constexpr double kOneIn = 1e5;                        // images, of which one may leave a range

// Infinite if a value is not finite.
double largest_magnitude(std::span<const double> values) {
  double largest = 0;
  for (double v : values) largest = std::isfinite(v) ? std::max(largest, std::abs(v)) : INFINITY;
  return largest;
}

}  // namespace

Magnitudes magnitudes(const Network& network, const std::vector<std::vector<double>>& images,
                      const std::function<void(std::size_t)>& progress) {
  Magnitudes all(network.nodes.size(), std::vector<double>(images.size()));
  std::mutex mutex;
  std::size_t done = 0;
  parallel_for(images.size(), [&](std::size_t i) {
    evaluate(network, images[i], [&](int node, std::span<const double> value) {
      all[static_cast<std::size_t>(node)][i] = largest_magnitude(value);
    });
    const std::scoped_lock lock(mutex);
    if (progress) progress(++done);
  });
  for (std::size_t k = 0; k < all.size(); ++k)
    if (!std::isfinite(largest_magnitude(all[k])))
      throw Error(ErrorCode::bad_input,
                  "node '" + network.nodes[k].name + "': its values grow too large to be finite " +
                      "on the images that ranges are measured on; use ordinary ones",
                  Setting::calibration);
  return all;
}

double range_beyond(std::vector<double> magnitudes) {
  std::ranges::sort(magnitudes, std::greater());
  const double largest = magnitudes.empty() ? 0 : magnitudes.front();
  if (magnitudes.size() < kLeastForTail) return kMargin * largest;
  const auto tail = magnitudes.begin() + static_cast<std::ptrdiff_t>(magnitudes.size() / kTail);
  const double mean_excess =
      std::accumulate(magnitudes.begin(), tail, 0.0) / static_cast<double>(tail - magnitudes.begin()) - *tail;
  const double extrapolated = *tail + mean_excess * std::log(kOneIn / static_cast<double>(kTail));
  return std::clamp(extrapolated, kMargin * largest, kMostMargin * largest);
}

void set_ranges(Network& network, const Magnitudes& magnitudes, bool missing) {
  check(magnitudes.size() == network.nodes.size(), "magnitudes of each node");
  for (std::size_t k = 0; k < magnitudes.size(); ++k) {
    Node& n = network.nodes[k];
    n.magnitude = largest_magnitude(magnitudes[k]);
    auto* f = std::get_if<Function>(&n.op);
    if (f != nullptr && !(missing && f->range > 0))
      f->range = range_beyond(magnitudes[static_cast<std::size_t>(n.inputs[0])]);
  }
}

bool needs_ranges(const Network& network) {
  return std::any_of(network.nodes.begin(), network.nodes.end(), [](const Node& n) {
    return std::holds_alternative<Function>(n.op) || std::holds_alternative<Product>(n.op);
  });
}

bool has_functions(const Network& network) {
  return std::any_of(network.nodes.begin(), network.nodes.end(),
                     [](const Node& n) { return std::holds_alternative<Function>(n.op); });
}

}  // namespace sotto::graph
