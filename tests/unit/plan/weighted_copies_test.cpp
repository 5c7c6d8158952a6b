#include "plan/weighted_copies.h"

#include <gtest/gtest.h>

#include "support/values.h"

namespace sotto::plan {
namespace {

// What one slot of a sum becomes, by the definition.
double expected(const std::vector<WeightedCopy>& copies, const ImageSlots& at, std::size_t image, std::size_t slot) {
  const auto slots = static_cast<std::int64_t>(at.slots), all = static_cast<std::int64_t>(at.all());
  double sum = 0;
  for (const WeightedCopy& c : copies) {
    std::int64_t from = static_cast<std::int64_t>(slot) + c.rotation;
    if (at.alone)
      from = static_cast<std::int64_t>(image) * slots + (from % slots + slots) % slots;
    else
      from = ((static_cast<std::int64_t>(image) * slots + from) % all + all) % all;
    sum += c.weights[slot % c.weights.size()] * (*c.values)[static_cast<std::size_t>(from)];
  }
  return sum;
}

void expect_sums(const ImageSlots& at) {
  const std::vector<double> a = test::random_values(at.all(), 1, 1), b = test::random_values(at.all(), 2, 1);
  const auto slots = static_cast<std::int64_t>(at.slots);
  std::vector<WeightedCopy> copies;
  unsigned seed = 3;
  for (const std::int64_t rotation : {std::int64_t{0}, std::int64_t{1}, -slots - 2, slots / 2, 2 * slots + 5, -slots})
    for (const std::size_t weights : {std::size_t{1}, std::size_t{4}, at.slots, 2 * at.slots}) {
      const std::vector<double>& values = seed % 2 == 0 ? a : b;
      copies.push_back({test::random_values(weights, ++seed, 1), &values, rotation});
    }
  std::vector<double> sum(at.all());
  add_copies(sum, copies, at);
  for (std::size_t k = 0; k < at.images; ++k)
    for (std::size_t p = 0; p < at.slots; ++p)
      ASSERT_NEAR(sum[k * at.slots + p], expected(copies, at, k, p), 1e-12) << "image " << k << ", slot " << p;
}

TEST(WeightedCopies, ReadWhatIsSoManySlotsAheadAlsoInNeighbours) {
  expect_sums({3, 64, false});
  expect_sums({1, 64, false});
  expect_sums({2, 1 << 14, false});  // several parts
}

TEST(WeightedCopies, ImagesAloneReadThemselves) {
  expect_sums({3, 64, true});
  expect_sums({2, 1 << 14, true});
}

TEST(WeightedCopies, AddToWhatIsThere) {
  const std::vector<double> values{1, 2, 3, 4};
  std::vector<double> sum{10, 20, 30, 40};
  add_copies(sum, std::vector<WeightedCopy>{{{2.0}, &values, 1}}, {1, 4, false});
  EXPECT_EQ(sum, (std::vector<double>{14, 26, 38, 42}));
}

}  // namespace
}  // namespace sotto::plan
