#include "graph/calibrate.h"

#include <algorithm>
#include <cmath>
#include <mutex>

#include "base/error.h"
#include "base/parallel.h"
#include "graph/interpreter.h"

namespace sotto::graph {

namespace {

std::vector<int> relu_nodes(const Network& network) {
  std::vector<int> found;
  for (std::size_t i = 0; i < network.nodes.size(); ++i)
    if (std::holds_alternative<Relu>(network.nodes[i].op)) found.push_back(static_cast<int>(i));
  return found;
}

// Infinite if a value is not finite.
double largest_magnitude(std::span<const double> values) {
  double largest = 0;
  for (double v : values) largest = std::isfinite(v) ? std::max(largest, std::abs(v)) : INFINITY;
  return largest;
}

}  // namespace

std::vector<double> relu_ranges(const Network& network, const std::vector<std::vector<double>>& images,
                                const std::function<void(std::size_t)>& progress) {
  const std::vector<int> nodes = relu_nodes(network);
  if (nodes.empty()) return {};
  std::vector<std::vector<double>> each(images.size(), std::vector<double>(nodes.size()));
  std::mutex mutex;
  std::size_t done = 0;
  parallel_for(images.size(), [&](std::size_t i) {
    evaluate(network, images[i], [&](int node, std::span<const double> value) {
      for (std::size_t k = 0; k < nodes.size(); ++k)
        if (network.nodes[nodes[k]].inputs[0] == node) each[i][k] = largest_magnitude(value);
    });
    if (!progress) return;
    const std::scoped_lock lock(mutex);
    progress(++done);
  });
  std::vector<double> ranges(nodes.size());
  for (std::size_t k = 0; k < nodes.size(); ++k) {
    for (const auto& image : each) ranges[k] = std::max(ranges[k], image[k]);
    if (!std::isfinite(ranges[k]))
      throw Error(ErrorCode::bad_input, "node '" + network.nodes[nodes[k]].name + "': its input is not finite");
  }
  return ranges;
}

void set_relu_ranges(Network& network, std::span<const double> ranges, double margin) {
  const std::vector<int> nodes = relu_nodes(network);
  check(ranges.size() == nodes.size(), "one range for each Relu node");
  for (std::size_t k = 0; k < nodes.size(); ++k) std::get<Relu>(network.nodes[nodes[k]].op).range = margin * ranges[k];
}

}  // namespace sotto::graph
