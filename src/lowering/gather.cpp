#include "lowering/gather.h"

#include <algorithm>

#include "base/error.h"
#include "lowering/masks.h"

namespace sotto::lowering {

using program::Factor;
using program::Pattern;

namespace {

constexpr int kSummedTogether = 8;  // rotations with one ModUp

}  // namespace

// Of parameters, in these slots.
int Gather::leaves_between(int first, int end) const {
  int count = 0;
  for (const ParameterPlace& p : arrangement_.parameters) {
    const int from = std::max(first, p.first), to = std::min(end, p.first + p.leaves * p.unit);
    count += std::max(to - from, 0) / p.unit;
  }
  return count;
}

void Gather::add(std::size_t parameter, int leaf, int value) {
  const ParameterPlace& place = arrangement_.parameters[parameter];
  const int slot = place.first + leaf * place.unit, node = slot / arrangement_.node, within = slot % arrangement_.node;
  unit_[node] = place.unit;
  leaves_[node][within] = value;
  const int blocks = std::min(kMostBlocks, arrangement_.node / place.unit), period = blocks * place.unit;
  const int first = within / period * period;
  Parts& all = leaves_[node];
  const auto begin = all.lower_bound(first), end = all.lower_bound(first + period);
  const int at = node * arrangement_.node + first;
  if (std::distance(begin, end) < leaves_between(at, at + period)) return;
  merge_block(node, first, place.unit, blocks);
}

// The first stage of one period.
void Gather::merge_block(int node, int first, int unit, int blocks) {
  Parts& all = leaves_[node];
  const auto begin = all.lower_bound(first), end = all.lower_bound(first + unit * blocks);
  Parts parts;
  for (auto at = begin; at != end; ++at) parts[at->first - first] = at->second;
  all.erase(begin, end);
  merged_[node][first] = merge(parts, unit, blocks);
}

// parts: by first slot; each block of `blocks` of size `size` in a period has one, or none.
int Gather::merge(const std::map<int, int>& parts, int size, int blocks) {
  std::vector<int> values;
  double scale = 0;  // the largest
  for (const auto& [slot, value] : parts) {
    values.push_back(value);
    scale = std::max(scale, std::abs(builder_.value(value).scale));
  }
  const auto period = static_cast<std::size_t>(size) * static_cast<std::size_t>(blocks);
  std::vector<std::vector<Factor>> factors;
  std::vector<std::int64_t> rotations;
  std::map<int, int> patterns;  // by the block that they leave
  for (int d = 0; d < blocks; ++d) {
    std::vector<Factor>& row = factors.emplace_back();
    rotations.push_back(std::int64_t{d} * size);
    for (const auto& [slot, value] : parts) {
      const int block = (slot / size + d) % blocks;
      int& pattern = patterns.try_emplace(block, -1).first->second;
      if (pattern < 0) {
        Pattern p(period);
        std::fill_n(p.begin() + block * size, size, 1.0);
        pattern = builder_.pattern(std::move(p));
      }
      row.push_back({pattern, -1});
    }
  }
  return builder_.join(builder_.mix(values, factors, scale * mask_scale(period) * finer_), rotations);
}

// Over everything that lies a multiple of a node away.
int Gather::summed(int value) {
  for (int step = arrangement_.node; step < arrangement_.slots(); step *= kSummedTogether) {
    std::vector<std::int64_t> rotations;
    for (int k = 1; k < std::min(kSummedTogether, arrangement_.slots() / step); ++k)
      rotations.push_back(std::int64_t{k} * step);
    value = builder_.rotate_sum(value, rotations);
  }
  return value;
}

std::map<int, int> Gather::nodes() {
  std::map<int, int> out;
  for (auto& [node, leaves] : leaves_) {
    int size = unit_.at(node), blocks = std::min(kMostBlocks, arrangement_.node / size);
    // Blocks of which some leaves never come: taps that only read padding.
    while (!leaves.empty()) merge_block(node, leaves.begin()->first / (size * blocks) * size * blocks, size, blocks);
    Parts parts = merged_[node];
    for (size *= blocks; size < arrangement_.node; size *= blocks) {
      blocks = std::min(kMostBlocks, arrangement_.node / size);
      std::map<int, Parts> periods;
      for (const auto& [slot, value] : parts) periods[slot / (size * blocks)][slot % (size * blocks)] = value;
      parts.clear();
      for (const auto& [number, blocks_of_it] : periods)
        parts[number * size * blocks] = merge(blocks_of_it, size, blocks);
    }
    out[node] = summed(parts.begin()->second);
  }
  return out;
}

}  // namespace sotto::lowering
