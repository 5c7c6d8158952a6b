#include "training/gather.h"

#include <algorithm>

#include "base/error.h"
#include "training/masks.h"

namespace sotto::training {

using program::Factor;
using program::Pattern;

namespace {

constexpr int kMostBlocks = 32;
constexpr int kSummedTogether = 8;  // rotations with one ModUp

}  // namespace

void Gather::add(std::size_t parameter, int leaf, int value) {
  const ParameterPlace& place = arrangement_.parameters[parameter];
  const int slot = place.first + leaf * place.unit, node = slot / arrangement_.node;
  leaves_[node][slot % arrangement_.node] = value;
  unit_[node] = place.unit;
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
  for (int d = 0; d < blocks; ++d) {
    std::vector<Factor>& row = factors.emplace_back();
    rotations.push_back(std::int64_t{d} * size);
    for (const auto& [slot, value] : parts) {
      Pattern p(period);
      std::fill_n(p.begin() + (slot / size + d) % blocks * size, size, 1.0);
      row.push_back({builder_.pattern(std::move(p)), -1});
    }
  }
  return builder_.join(builder_.mix(values, factors, scale * mask_scale(period)), rotations);
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
  for (const auto& [node, leaves] : leaves_) {
    std::map<int, int> parts = leaves;
    for (int size = unit_.at(node); size < arrangement_.node;) {
      // As even stages as spreading has.
      int blocks = std::min(kMostBlocks, arrangement_.node / size);
      std::map<int, std::map<int, int>> periods;
      for (const auto& [slot, value] : parts) periods[slot / (size * blocks)][slot % (size * blocks)] = value;
      parts.clear();
      for (const auto& [number, blocks_of_it] : periods)
        parts[number * size * blocks] = merge(blocks_of_it, size, blocks);
      size *= blocks;
    }
    out[node] = summed(parts.begin()->second);
  }
  return out;
}

}  // namespace sotto::training
