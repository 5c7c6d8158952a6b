#include "inputs/slots.h"

#include "plan/schedule.h"

namespace sotto::inputs {

namespace {

std::size_t positions(const plan::ClientSpec& spec) { return static_cast<std::size_t>(spec.tile.area()); }

// Slots of one image.
std::size_t period(const plan::ClientSpec& spec) {
  return positions(spec) * static_cast<std::size_t>(spec.input.layout.group);
}

}  // namespace

std::vector<double> pack_slots(const plan::ClientSpec& spec, std::span<const std::vector<double>> images, int phase,
                               int block) {
  const plan::Layout& l = spec.input.layout;
  const auto batch = static_cast<std::size_t>(spec.batch);
  std::vector<double> slots(std::size_t{1} << spec.parameters.log_n);
  for (int y = 0; y < l.height; ++y) {
    for (int x = 0; x < l.width; ++x) {
      const plan::Place place = plan::place_of(l, spec.tile, y, x);
      if (place.phase != phase) continue;
      for (int s = 0; s < l.group; ++s) {
        const int channel = l.channel_at(block, s);
        if (channel < 0) continue;
        const std::size_t pixel = (static_cast<std::size_t>(channel) * l.height + y) * l.width + x;
        const std::size_t slot = static_cast<std::size_t>(s) * positions(spec) + place.position;
        for (std::size_t b = 0; b < batch; ++b) slots[b * period(spec) + slot] = images[b % images.size()][pixel];
      }
    }
  }
  return slots;
}

}  // namespace sotto::inputs
