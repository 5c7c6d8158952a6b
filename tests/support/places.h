#pragma once

#include <cstddef>

#include "plan/plan.h"

namespace sotto::test {

/// Places of a block, in groups or in gaps.
inline int places_of_block(const plan::Layout& l) { return l.group * l.fill.h * l.fill.w; }

/// The channel at place s of a block, or -1: the description of plan::Layout in other words.
inline int channel_of_place(const plan::Layout& l, int block, int s) {
  if (const int gaps = l.fill.h * l.fill.w; gaps > 1) return block * gaps + s < l.channels ? block * gaps + s : -1;
  int places = 1;
  while (places < l.channels && places < l.group) places *= 2;
  const int channel = block * l.group + s % places;
  return channel < l.channels ? channel : -1;
}

/// The slot of a tile position at place s of image b.
inline std::size_t slot_of(const plan::Plan& p, int b, int s, int position) {
  return static_cast<std::size_t>((b * p.tensors[0].layout.group + s) * p.tile.area() + position);
}

/// The same of a map whose channels may lie in gaps: so many rows and columns further.
inline std::size_t slot_of(const plan::Plan& p, const plan::Layout& l, int b, int s, int position) {
  if (l.fill == plan::Axes(1)) return slot_of(p, b, s, position);
  return slot_of(p, b, 0, position) + static_cast<std::size_t>(s / l.fill.w * p.tile.w + s % l.fill.w);
}

}  // namespace sotto::test
