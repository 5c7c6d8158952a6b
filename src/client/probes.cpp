#include "client/probes.h"

#include <algorithm>
#include <cmath>

namespace sotto::client {

namespace {

// What a mask lets through to the next image at most, as a power of two, and what may pass: 1 %.
constexpr double kMaskBits = 8, kHarmless = 0.01;

}  // namespace

void add_probe(const plan::ClientSpec& spec, const plan::ProbeView& probe, std::span<const std::complex<double>> slots,
               double scale, std::vector<double>& times) {
  const plan::Watched& w = probe.watched;
  const auto positions = static_cast<std::size_t>(spec.tile) * static_cast<std::size_t>(spec.tile),
             group = static_cast<std::size_t>(spec.input.layout.group);
  for (std::size_t i = 0; i < times.size(); ++i)
    for (int place = 0; place < w.places; ++place)
      for (int y = 0; y < w.rows; y += w.row_gap)
        for (int x = 0; x < w.columns; x += w.column_gap) {
          const auto at =
              (i * group + static_cast<std::size_t>(place)) * positions + static_cast<std::size_t>(y * spec.tile + x);
          times[i] = std::max(times[i], std::abs(slots[at].real()) / (scale * probe.bound));
        }
}

std::size_t reach_of(const plan::ClientSpec& spec, double times) {
  const double steps = std::ceil(std::log2(times / kHarmless) / kMaskBits) * spec.watch.reach;
  return static_cast<std::size_t>(std::min(steps, static_cast<double>(spec.batch)));
}

std::size_t apart(const plan::ClientSpec& spec, std::size_t a, std::size_t b) {
  const std::size_t distance = a > b ? a - b : b - a;
  return std::min(distance, static_cast<std::size_t>(spec.batch) - distance);
}

}  // namespace sotto::client
