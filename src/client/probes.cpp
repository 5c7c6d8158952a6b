#include "client/probes.h"

#include <algorithm>
#include <cmath>

namespace sotto::client {

namespace {

// What a mask lets through to the next image at most, as a power of two, and what may pass: 1 %.
constexpr double kMaskBits = 8, kHarmless = 0.01;

}  // namespace

void add_probe(const plan::AnswerSlots& answer, const plan::ProbeView& probe,
               std::span<const std::complex<double>> slots, double scale, std::vector<double>& times) {
  answer.each_watched(probe.watched, [&](std::size_t image, std::size_t slot) {
    if (image < times.size())
      times[image] = std::max(times[image], std::abs(slots[slot].real()) / (scale * probe.bound));
  });
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
