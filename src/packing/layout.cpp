#include "packing/layout.h"

namespace sotto::packing {

Place place_of(const Layout& layout, const Axes& tile, int y, int x) {
  const int cy = y * layout.gap.h, cx = x * layout.gap.w;
  const Axes& p = layout.phases;
  return {cy % p.h * p.w + cx % p.w, cy / p.h * tile.w + cx / p.w};
}

int offset_of(const Layout& layout, const Axes& tile, int s) {
  return layout.group > 1 ? s * tile.area() : s / layout.fill.w * tile.w + s % layout.fill.w;
}

int channel_move(const Layout& in, int s, int channel, bool alone) {
  const int places = in.places();
  const int forwards = ((channel - s) % places + places) % places;
  return s + forwards < in.group || alone ? forwards : forwards - places;
}

}  // namespace sotto::packing
