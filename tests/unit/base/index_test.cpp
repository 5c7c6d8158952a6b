// Indices of convolutions against counting one by one.
#include "base/index.h"

#include <gtest/gtest.h>

#include <cmath>

namespace sotto {
namespace {

TEST(Index, FloorDivisionRoundsDown) {
  for (int a = -20; a <= 20; ++a)
    for (int b = 1; b <= 7; ++b)
      EXPECT_EQ(floor_div(a, b), static_cast<int>(std::floor(static_cast<double>(a) / b))) << a << " / " << b;
}

TEST(Index, OutputsWhoseSourceLiesInside) {
  for (int count = 0; count < 8; ++count)
    for (int stride = 1; stride < 5; ++stride)
      for (int offset = -12; offset <= 12; ++offset)
        for (int size = 1; size < 9; ++size) {
          const auto [first, last] = inside(count, stride, offset, size);
          for (int output = 0; output < count; ++output) {
            const int source = output * stride + offset;
            EXPECT_EQ(first <= output && output < last, 0 <= source && source < size)
                << "output " << output << " of " << count << ", stride " << stride << ", offset " << offset << ", size "
                << size;
          }
          EXPECT_TRUE(last <= first || (first >= 0 && last <= count));
        }
}

}  // namespace
}  // namespace sotto
