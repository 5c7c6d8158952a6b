#include "graph/calibrate.h"

#include <algorithm>
#include <cmath>
#include <mutex>

#include "base/error.h"
#include "base/parallel.h"
#include "graph/interpreter.h"

namespace sotto::graph {

namespace {

// Infinite if a value is not finite.
double largest_magnitude(std::span<const double> values) {
  double largest = 0;
  for (double v : values) largest = std::isfinite(v) ? std::max(largest, std::abs(v)) : INFINITY;
  return largest;
}

}  // namespace

std::vector<double> magnitudes(const Network& network, const std::vector<std::vector<double>>& images,
                               const std::function<void(std::size_t)>& progress) {
  std::vector<double> largest(network.nodes.size());
  std::mutex mutex;
  std::size_t done = 0;
  parallel_for(images.size(), [&](std::size_t i) {
    std::vector<double> of_image(network.nodes.size());
    evaluate(network, images[i], [&](int node, std::span<const double> value) {
      of_image[static_cast<std::size_t>(node)] = largest_magnitude(value);
    });
    const std::scoped_lock lock(mutex);
    for (std::size_t k = 0; k < largest.size(); ++k) largest[k] = std::max(largest[k], of_image[k]);
    if (progress) progress(++done);
  });
  for (std::size_t k = 0; k < largest.size(); ++k)
    if (!std::isfinite(largest[k]))
      throw Error(ErrorCode::bad_input,
                  "node '" + network.nodes[k].name + "': its values grow too large to be finite " +
                      "on the images that ranges are measured on; use ordinary ones",
                  Setting::calibration);
  return largest;
}

void set_ranges(Network& network, std::span<const double> magnitudes, double margin, bool missing) {
  check(magnitudes.size() == network.nodes.size(), "one magnitude for each node");
  for (std::size_t k = 0; k < magnitudes.size(); ++k) {
    Node& n = network.nodes[k];
    n.magnitude = magnitudes[k];
    auto* f = std::get_if<Function>(&n.op);
    if (f != nullptr && !(missing && f->range > 0))
      f->range = margin * magnitudes[static_cast<std::size_t>(n.inputs[0])];
  }
}

bool has_functions(const Network& network) {
  return std::any_of(network.nodes.begin(), network.nodes.end(),
                     [](const Node& n) { return std::holds_alternative<Function>(n.op); });
}

bool needs_ranges(const Network& network) {
  return std::any_of(network.nodes.begin(), network.nodes.end(), [](const Node& n) {
    return std::holds_alternative<Function>(n.op) || std::holds_alternative<Product>(n.op);
  });
}

}  // namespace sotto::graph
