#include "lowering/spread.h"

#include <algorithm>

#include "lowering/masks.h"

namespace sotto::lowering {

using program::Factor;
using program::Pattern;

Spread::Spread(program::Builder& builder, const Arrangement& arrangement, int state,
               std::vector<std::vector<bool>> masks)
    : builder_(builder), arrangement_(arrangement), state_(state), masks_(std::move(masks)) {}

// From the state to nodes and on to leaves, in stages of similar size.
std::vector<Spread::Stage> Spread::stages(int unit) const {
  std::vector<Stage> list;
  const auto add = [&](int from, int to) {
    int stages = 1;
    while (true) {
      int r = 1;
      for (int k = 0; k < stages; ++k) r *= kMostBlocks;
      if (from / to <= r) break;
      ++stages;
    }
    int log = 0;
    while ((to << log) < from) ++log;
    for (int k = 0; k < stages; ++k) {
      const int part = (log + stages - 1 - k) / stages;  // evenly
      from >>= part;
      list.push_back({1 << part, from, 1, 0});
    }
  };
  if (arrangement_.period > arrangement_.node) add(arrangement_.period, arrangement_.node);
  if (arrangement_.node > unit) add(arrangement_.node, unit);
  for (Stage& s : list) {
    std::size_t period = static_cast<std::size_t>(s.blocks) * static_cast<std::size_t>(s.size);
    if (&s == &list.back()) period = std::max(period, static_cast<std::size_t>(arrangement_.positions()));
    s.mask = mask_scale(period);
  }
  double scale = builder_.value(state_).scale;
  int limbs = builder_.value(state_).limbs;
  for (Stage& s : list) {
    scale *= s.mask;
    s.rescales = builder_.rescales(limbs, scale);
    for (int k = 0; k < s.rescales; ++k) scale /= builder_.prime(--limbs);
  }
  return list;
}

bool Spread::holds_weights(int begin, int size) const {
  return std::ranges::any_of(arrangement_.parameters, [&](const ParameterPlace& p) {
    return begin < p.first + p.unit * p.leaves && begin + size > p.first;
  });
}

// What the leaf at this slot is multiplied by, if anything.
const std::vector<bool>* Spread::clearing(int begin, int size) const {
  for (std::size_t p = 0; p < arrangement_.parameters.size(); ++p) {
    const ParameterPlace& place = arrangement_.parameters[p];
    if (size == place.unit && begin >= place.first && begin < place.first + place.unit * place.leaves)
      return masks_[p].empty() ? nullptr : &masks_[p];
  }
  return nullptr;
}

// The pattern that leaves one block of a period, made once: every block of every period has one for each rotation.
int Spread::mask(const Stage& stage, int block, const std::vector<bool>* clear) {
  const auto [at, inserted] = patterns_.try_emplace({stage.blocks, stage.size, block, clear});
  if (!inserted) return at->second;
  const auto size = static_cast<std::size_t>(stage.size), period = static_cast<std::size_t>(stage.blocks) * size;
  Pattern p(clear == nullptr ? period : std::max(period, clear->size()));
  for (std::size_t s = 0; s < p.size(); ++s)
    p[s] = s % period / size == static_cast<std::size_t>(block) && (clear == nullptr || (*clear)[s % clear->size()]);
  return at->second = builder_.pattern(std::move(p));
}

int Spread::block(const std::vector<Stage>& stages, std::size_t depth, int number, int limbs) {
  if (depth == 0) return state_;
  const Stage& stage = stages[depth - 1];
  if (const auto found = made_.find({stage.size, number}); found != made_.end()) return found->second;
  const int parent = block(stages, depth - 1, number / stage.blocks, limbs + stage.rescales);
  const int at = std::min(limbs + stage.rescales, builder_.value(parent).limbs);
  std::vector<std::int64_t> rotations(static_cast<std::size_t>(stage.blocks));
  for (std::size_t d = 0; d < rotations.size(); ++d) rotations[d] = static_cast<std::int64_t>(d) * stage.size;
  const std::vector<int> rotated = builder_.rotate(parent, rotations, at);
  // All blocks of this period that hold weights.
  const int first = number / stage.blocks * stage.blocks;
  std::vector<int> outputs;
  std::vector<std::vector<Factor>> factors;
  for (int k = 0; k < stage.blocks; ++k) {
    const int begin = (first + k) * stage.size;
    if (!holds_weights(begin, stage.size)) continue;
    const std::vector<bool>* clear = clearing(begin, stage.size);
    std::vector<Factor>& row = factors.emplace_back();
    for (int d = 0; d < stage.blocks; ++d)
      row.push_back({mask(stage, (k - d + stage.blocks) % stage.blocks, clear), -1});
    outputs.push_back(first + k);
  }
  const std::vector<int> made = builder_.mix(rotated, factors, builder_.value(parent).scale * stage.mask);
  for (std::size_t k = 0; k < outputs.size(); ++k) made_[{stage.size, outputs[k]}] = made[k];
  return made_.at({stage.size, number});
}

int Spread::leaf(std::size_t parameter, int leaf, int limbs) {
  const ParameterPlace& place = arrangement_.parameters[parameter];
  auto& stages = stages_[place.unit];
  if (stages.empty()) stages = this->stages(place.unit);
  return block(stages, stages.size(), place.first / place.unit + leaf, limbs);
}

}  // namespace sotto::lowering
