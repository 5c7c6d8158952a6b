#include "plan/weighted_copies.h"

#include <algorithm>

#include "base/index.h"
#include "simd/kernels.h"

namespace sotto::plan {

namespace {

constexpr std::size_t kPart = 4096;  // slots: sum, weights and values of a part fit the second cache

// sum[p] += weights[p % weights.size()] values[p - first] for p in first .. last - 1.
void add_part(double* sum, std::span<const double> weights, const double* values, std::size_t first, std::size_t last) {
  if (weights.size() == 1)
    return simd::select_kernels().add_scaled(sum + first, &values, weights.data(), 1, last - first);
  while (first < last) {
    const std::size_t at = first % weights.size(), count = std::min(last - first, weights.size() - at);
    const double* const w = weights.data() + at;
    double* const y = sum + first;
    for (std::size_t p = 0; p < count; ++p) y[p] += w[p] * values[p];
    first += count;
    values += count;
  }
}

// Slots first .. last - 1 of one image's sum.
void add_copy(double* sum, const WeightedCopy& c, const ImageSlots& at, std::size_t image, std::size_t first,
              std::size_t last) {
  const auto count = static_cast<std::int64_t>(at.slots), images = static_cast<std::int64_t>(at.images);
  const auto ahead = static_cast<std::size_t>((c.rotation % count + count) % count);
  const std::int64_t passed = at.alone ? 0 : floor_div(c.rotation, count), next = at.alone ? 0 : 1;
  const auto values_of = [&](std::int64_t beyond) {
    const std::int64_t k = ((static_cast<std::int64_t>(image) + passed + beyond) % images + images) % images;
    return c.values->data() + static_cast<std::size_t>(k) * at.slots;
  };
  const std::size_t end = std::clamp(at.slots - ahead, first, last);  // behind it the next image begins
  if (first < end) add_part(sum, c.weights, values_of(0) + first + ahead, first, end);
  if (end < last) add_part(sum, c.weights, values_of(next) + (end + ahead - at.slots), end, last);
}

}  // namespace

void add_copies(std::span<double> sum, std::span<const WeightedCopy> copies, const ImageSlots& at) {
  for_each_image(at, [&](std::size_t k) {
    for (std::size_t first = 0; first < at.slots; first += kPart)
      for (const WeightedCopy& c : copies)
        add_copy(sum.data() + k * at.slots, c, at, k, first, std::min(first + kPart, at.slots));
  });
}

}  // namespace sotto::plan
