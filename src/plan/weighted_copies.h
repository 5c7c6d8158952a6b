#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/parallel.h"

namespace sotto::plan {

/// Where the images of a simulated ciphertext lie: image k in slots k slots .. (k + 1) slots - 1.
struct ImageSlots {
  std::size_t images = 0, slots = 0;
  bool alone = false;  ///< an image fills its ciphertext, so that rotations bring its own slots from beyond its end

  [[nodiscard]] std::size_t all() const { return images * slots; }
};

/// Calls f(image) for all images: on all threads of the current TBB arena where images have thousands of slots, so that
/// work on few ciphertexts is shared, too.
template <class F>
void for_each_image(const ImageSlots& at, F&& f) {
  constexpr std::size_t kMany = 4096;
  if (at.slots >= kMany) return parallel_for(at.images, f);
  for (std::size_t k = 0; k < at.images; ++k) f(k);
}

/// A rotated copy of a ciphertext and what a sum multiplies it by.
struct WeightedCopy {
  std::vector<double> weights;  ///< by slot of an image; they repeat, and one stands for all
  const std::vector<double>* values = nullptr;
  std::int64_t rotation = 0;  ///< slot p reads slot p + rotation; what lies beyond an image is its neighbour's
};

/// sum[p] += weights[p] values[p + rotation] for all copies, in parts that stay in the cache.
void add_copies(std::span<double> sum, std::span<const WeightedCopy> copies, const ImageSlots& at);

}  // namespace sotto::plan
