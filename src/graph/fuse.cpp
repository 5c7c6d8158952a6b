#include "graph/fuse.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "base/error.h"

namespace sotto::graph {

namespace {

using Kind = Function::Kind;

constexpr std::size_t kMostSteps = 256;

// Whether all channels have the same map, which a function of one number needs.
bool uniform(const ChannelAffine& a) {
  const auto same = [](const std::vector<double>& v) {
    return std::all_of(v.begin(), v.end(), [&](double x) { return x == v.front(); });
  };
  return same(a.scale) && same(a.shift);
}

// Whether a value is a function of single numbers of its inputs.
bool elementwise(const Network& network, const Node& n) {
  for (int i : n.inputs)
    if (network.nodes[static_cast<std::size_t>(i)].shape != n.shape) return false;
  if (const auto* a = std::get_if<ChannelAffine>(&n.op)) return uniform(*a);
  return std::holds_alternative<Function>(n.op) || std::holds_alternative<Product>(n.op) ||
         std::holds_alternative<Sum>(n.op);
}

// The nodes between one earlier value and a node that is a function of it.
struct Region {
  int argument = 0;
  std::set<int> members;
};

// The smallest region behind `node`, or the largest: the latest of the values that it depends on is taken apart until
// one is left.
std::optional<Region> region_of(const Network& network, int node, bool largest) {
  const auto at = [&](int i) -> const Node& { return network.nodes[static_cast<std::size_t>(i)]; };
  std::optional<Region> found;
  std::set<int> members{node}, open(at(node).inputs.begin(), at(node).inputs.end());
  for (;;) {
    const int last = *open.rbegin();
    if (open.size() == 1) found = Region{last, members};
    if ((found && !largest) || !elementwise(network, at(last)) || members.size() == kMostSteps) return found;
    open.erase(last);
    members.insert(last);
    open.insert(at(last).inputs.begin(), at(last).inputs.end());
  }
}

// A range of the region's argument x, from that of a member which reads a x + b.
double range_through(const Network& network, const Region& region, int member, double range) {
  double a = 1, b = 0;
  for (int i = network.nodes[static_cast<std::size_t>(member)].inputs[0]; i != region.argument;) {
    const Node& n = network.nodes[static_cast<std::size_t>(i)];
    const auto* affine = std::get_if<ChannelAffine>(&n.op);
    if (affine == nullptr) return 0;
    b += a * affine->shift[0];
    a *= affine->scale[0];
    i = n.inputs[0];
  }
  return a == 0 ? 0 : (range + std::abs(b)) / std::abs(a);
}

// The program of a region; its last member is the result.
Function joined(const Network& network, const Region& region) {
  Function f;
  std::map<int, int> place{{region.argument, 0}};
  for (int member : region.members) {
    const Node& n = network.nodes[static_cast<std::size_t>(member)];
    const int left = place.at(n.inputs[0]), right = n.inputs.size() > 1 ? place.at(n.inputs[1]) : left;
    if (const auto* inner = std::get_if<Function>(&n.op)) {
      const int shift = static_cast<int>(f.steps.size());
      const auto moved = [&](int value) { return value == 0 ? left : value + shift; };
      for (const Function::Step& s : inner->steps)
        f.steps.push_back({s.kind, s.alpha, s.beta, moved(s.left), moved(s.right)});
    } else if (const auto* a = std::get_if<ChannelAffine>(&n.op)) {
      f.steps.push_back({Kind::affine, a->scale[0], a->shift[0], left, left});
    } else {
      f.steps.push_back({std::holds_alternative<Sum>(n.op) ? Kind::sum : Kind::product, 0, 0, left, right});
    }
    place[member] = static_cast<int>(f.steps.size());
  }
  return f;
}

bool has_step(const Node& n, Kind kind) {
  const auto* f = std::get_if<Function>(&n.op);
  return f != nullptr && std::ranges::any_of(f->steps, [&](const Function::Step& s) { return s.kind == kind; });
}

// Whether a value jumps, as a comparison does: what it is a part of may not.
bool jumps(const Node& n) { return has_step(n, Kind::greater); }

bool has_function(const Network& network, const Region& region) {
  return std::any_of(region.members.begin(), region.members.end(), [&](int i) {
    return std::holds_alternative<Function>(network.nodes[static_cast<std::size_t>(i)].op);
  });
}

}  // namespace

void fuse_functions(Network& network, const std::vector<double>& ranges) {
  const auto stated = [&](int i) {
    return static_cast<std::size_t>(i) < ranges.size() ? ranges[static_cast<std::size_t>(i)] : 0.0;
  };
  for (int i = 0; i < static_cast<int>(network.nodes.size()); ++i) {
    Node& n = network.nodes[static_cast<std::size_t>(i)];
    if (auto* f = std::get_if<Function>(&n.op)) f->range = stated(i);
    const bool closes_gap = std::holds_alternative<Sum>(n.op) && std::ranges::any_of(n.inputs, [&](int k) {
                              return jumps(network.nodes[static_cast<std::size_t>(k)]);
                            });
    const bool has_pole = has_step(n, Kind::reciprocal);
    if (!std::holds_alternative<Product>(n.op) && !closes_gap && !has_pole) continue;
    if (std::holds_alternative<Product>(n.op) && !elementwise(network, n)) continue;
    const auto region = region_of(network, i, has_pole);
    if (!region || !has_function(network, *region)) {
      if (stated(i) > 0)
        throw Error(ErrorCode::bad_input, "metadata sotto.relu_ranges names '" + n.name + "', which is no activation");
      continue;
    }
    Function f = joined(network, *region);
    f.range = stated(i);
    if (f.range == 0)
      for (int m : region->members) {
        const auto* inner = std::get_if<Function>(&network.nodes[static_cast<std::size_t>(m)].op);
        const double range = inner == nullptr ? 0 : range_through(network, *region, m, inner->range);
        if (range > 0) f.range = f.range == 0 ? range : std::min(f.range, range);
      }
    n.op = std::move(f);
    n.inputs = {region->argument};
  }
}

}  // namespace sotto::graph
