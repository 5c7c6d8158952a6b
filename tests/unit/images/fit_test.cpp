// Scaling and cutting against a naive sum over all pixels.
#include "images/fit.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support/expect_error.h"
#include "support/files.h"

namespace sotto::images {
namespace {

Image random_image(int channels, int height, int width, std::uint64_t seed = 1) {
  std::mt19937_64 rng(seed);
  return {"",     -1,    channels,
          height, width, test::random_bytes(static_cast<std::size_t>(channels * height * width), rng)};
}

// The triangle filter of the part (top, left, high, wide) of a picture, in the words of its definition.
double pixel(const Image& in, int c, double y, double x, double step_y, double step_x) {
  const auto weight = [](double distance, double step) {
    return std::max(0.0, 1 - std::abs(distance) / std::max(1.0, step));
  };
  double sum = 0, all = 0;
  for (int i = 0; i < in.height; ++i)
    for (int j = 0; j < in.width; ++j) {
      const double w = weight(i + 0.5 - y, step_y) * weight(j + 0.5 - x, step_x);
      sum += w * in.pixels[static_cast<std::size_t>((c * in.height + i) * in.width + j)];
      all += w;
    }
  return sum / all;
}

TEST(Fitted, StretchIsTheTriangleFilter) {
  for (const auto& [h, w] : {std::pair(4, 4), std::pair(13, 7), std::pair(3, 9), std::pair(40, 8)}) {
    const Image in = random_image(3, h, w), out = fitted(in, 5, 6, Fit::stretch);
    ASSERT_EQ(out.pixels.size(), 90u);
    for (int c = 0; c < 3; ++c)
      for (int y = 0; y < 5; ++y)
        for (int x = 0; x < 6; ++x)
          EXPECT_NEAR(out.pixels[static_cast<std::size_t>((c * 5 + y) * 6 + x)],
                      pixel(in, c, (y + 0.5) * h / 5, (x + 0.5) * w / 6, h / 5.0, w / 6.0), 0.5001);
  }
}

TEST(Fitted, CropTakesTheLargestMiddlePartOfTheShape) {
  const Image in = random_image(1, 10, 31), out = fitted(in, 5, 5, Fit::crop);
  for (int y = 0; y < 5; ++y)
    for (int x = 0; x < 5; ++x)
      EXPECT_NEAR(out.pixels[static_cast<std::size_t>(5 * y + x)], pixel(in, 0, 2 * y + 1, 10.5 + 2 * x + 1, 2, 2),
                  0.5001);
}

TEST(Fitted, MiddleTakesPixelsAsTheyAre) {
  const Image in = random_image(2, 7, 9), out = fitted(in, 4, 6, Fit::middle);
  for (int c = 0; c < 2; ++c)
    for (int y = 0; y < 4; ++y)
      for (int x = 0; x < 6; ++x)
        EXPECT_EQ(out.pixels[static_cast<std::size_t>((c * 4 + y) * 6 + x)],
                  in.pixels[static_cast<std::size_t>((c * 7 + y + 1) * 9 + x + 1)]);
  EXPECT_TRUE(test::refuses([&] { fitted(in, 8, 6, Fit::middle); }, {"9x7", "6x8"}));
}

TEST(Fitted, PlainPicturesStayPlain) {
  Image in{"", -1, 1, 37, 53, std::vector<std::uint8_t>(37 * 53, 255)};
  for (const Fit fit : {Fit::stretch, Fit::crop, Fit::middle})
    for (const auto p : fitted(in, 8, 5, fit).pixels) EXPECT_EQ(p, 255);
}

TEST(Fitted, TheRightSizeIsLeftAlone) {
  const Image in = random_image(3, 4, 5);
  for (const Fit fit : {Fit::exact, Fit::stretch, Fit::crop, Fit::middle})
    EXPECT_EQ(fitted(in, 4, 5, fit).pixels, in.pixels);
  EXPECT_TRUE(test::refuses([&] { fitted(in, 4, 4, Fit::exact); }, {"5x4", "4x4"}));
}

TEST(Fitted, ValuesToo) {
  Image in{"", -1, 1, 2, 4, {}, {-1, 1, 3, 5, -1, 1, 3, 5}};
  EXPECT_EQ(fitted(in, 2, 2, Fit::middle).values, (std::vector<float>{1, 3, 1, 3}));
}

}  // namespace
}  // namespace sotto::images
