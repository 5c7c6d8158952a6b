#include "graph/network.h"

#include <algorithm>
#include <iomanip>
#include <sstream>

namespace sotto::graph {

namespace {

struct OpName {
  std::string operator()(const Input&) const { return "Input"; }
  std::string operator()(const Conv2d& c) const {
    std::ostringstream s;
    s << "Conv " << c.kernel_h << "x" << c.kernel_w << " stride " << c.stride_h << (c.groups > 1 ? " grouped" : "");
    return s.str();
  }
  std::string operator()(const ChannelAffine&) const { return "Affine"; }
  std::string operator()(const Sum&) const { return "Sum"; }
  std::string operator()(const Product&) const { return "Product"; }
  std::string operator()(const Function& f) const {
    std::ostringstream s;
    s << f.name();
    if (f.range > 0) s << " range " << f.range;
    return s.str();
  }
  std::string operator()(const AveragePool& p) const {
    return "AveragePool " + std::to_string(p.kernel_h) + "x" + std::to_string(p.kernel_w);
  }
  std::string operator()(const GlobalAveragePool&) const { return "GlobalAveragePool"; }
  std::string operator()(const Flatten&) const { return "Flatten"; }
  std::string operator()(const Dense&) const { return "Dense"; }
  std::string operator()(const Concat&) const { return "Concat"; }
  std::string operator()(const Rearrange&) const { return "Rearrange"; }
  std::string operator()(const PixelBias&) const { return "PixelBias"; }
};

}  // namespace

int largest_side(const Network& network) {
  int side = 1;
  for (const Node& n : network.nodes) side = std::max({side, n.shape.h, n.shape.w});
  return side;
}

double multiply_adds(const Network& network) {
  double sum = 0;
  for (const Node& n : network.nodes) {
    if (const auto* conv = std::get_if<Conv2d>(&n.op))
      sum += static_cast<double>(conv->weights.size()) * n.shape.h * n.shape.w;
    else if (const auto* dense = std::get_if<Dense>(&n.op))
      sum += static_cast<double>(dense->weights.size());
    else
      sum += static_cast<double>(n.shape.size());
  }
  return sum;
}

void keep_ancestors(Network& network, int output) {
  auto& nodes = network.nodes;
  std::vector<int> place(nodes.size(), -1);
  place[0] = place[static_cast<std::size_t>(output)] = 0;  // needed
  for (int k = output; k > 0; --k)
    if (place[static_cast<std::size_t>(k)] == 0)
      for (int i : nodes[static_cast<std::size_t>(k)].inputs) place[static_cast<std::size_t>(i)] = 0;
  std::vector<Node> kept;
  for (int k = 0; k <= output; ++k) {
    if (place[static_cast<std::size_t>(k)] < 0) continue;
    place[static_cast<std::size_t>(k)] = static_cast<int>(kept.size());
    kept.push_back(std::move(nodes[static_cast<std::size_t>(k)]));
    for (int& i : kept.back().inputs) i = place[static_cast<std::size_t>(i)];
  }
  nodes = std::move(kept);
}

std::string describe(const Network& network) {
  std::ostringstream out;
  for (std::size_t i = 0; i < network.nodes.size(); ++i) {
    const Node& n = network.nodes[i];
    out << std::setw(4) << i << "  " << std::left << std::setw(22) << std::visit(OpName{}, n.op) << std::right
        << std::setw(6) << n.shape.c << " x " << n.shape.h << " x " << n.shape.w << "   " << n.name << " <-";
    for (int k : n.inputs) out << " " << k;
    out << "\n";
  }
  return out.str();
}

}  // namespace sotto::graph
