#pragma once

#include <cstddef>

#include "plan/plan.h"

namespace sotto::test {

/// The channel at place s of a block, or -1: the description of plan::Layout in other words.
inline int channel_of_place(const plan::Layout& l, int block, int s) {
  int places = 1;
  while (places < l.channels && places < l.group) places *= 2;
  const int channel = block * l.group + s % places;
  return channel < l.channels ? channel : -1;
}

/// The slot of a tile position at place s of image b.
inline std::size_t slot_of(const plan::Plan& p, int b, int s, int position) {
  return static_cast<std::size_t>((b * p.tensors[0].layout.group + s) * p.tile.area() + position);
}

}  // namespace sotto::test
