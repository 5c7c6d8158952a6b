// JPEG files: colours, orientation, and those that are truncated or damaged.
#include <gtest/gtest.h>
#include <stb_image_write.h>

#include "decode/picture.h"
#include "images/channels.h"
#include "support/chunks.h"
#include "support/expect_error.h"
#include "support/files.h"

namespace sotto::decode {
namespace {

using test::append;
using test::Bytes;
using test::refuses;

Picture decode(const Bytes& file) {
  return decode_jpeg(file, [](auto, auto) {});
}

// Blocks of plain colour survive the compression: the left half is red, the right one blue, and dark below.
Bytes jpeg(int channels = 3, int width = 32, int height = 16) {
  Bytes pixels, file;
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < channels; ++c)
        pixels.push_back(
            static_cast<unsigned char>((c == (x < width / 2 ? 0 : 2) ? 200 : 40) / (y < height / 2 ? 1 : 2)));
  const auto append = [](void* context, void* data, int size) {
    auto* out = static_cast<Bytes*>(context);
    out->insert(out->end(), static_cast<unsigned char*>(data), static_cast<unsigned char*>(data) + size);
  };
  EXPECT_NE(stbi_write_jpg_to_func(append, &file, width, height, channels, pixels.data(), 100), 0);
  return file;
}

// The same file with an EXIF block that states an orientation.
Bytes with_orientation(const Bytes& file, int orientation, bool little = true) {
  const auto number = [&](std::uint64_t value, int bytes) {
    return little ? test::little_endian(value, bytes) : test::big_endian(value, bytes);
  };
  Bytes exif = {'E', 'x', 'i', 'f', 0, 0};
  append(exif, little ? "II" : "MM");
  for (const auto& part : {number(42, 2), number(8, 4), number(2, 2), number(0x10f, 2), number(2, 2), number(1, 4),
                           number(0, 4), number(0x112, 2), number(3, 2), number(1, 4),
                           number(static_cast<std::uint64_t>(orientation), 2), number(0, 2), number(0, 4)})
    append(exif, part);
  Bytes out = {0xff, 0xd8, 0xff, 0xe1};
  append(out, test::big_endian(exif.size() + 2, 2));
  append(out, exif);
  out.insert(out.end(), file.begin() + 2, file.end());
  return out;
}

TEST(JpegFile, ColourAndGrey) {
  const Picture colour = decode(jpeg());
  ASSERT_EQ(colour.pixels.size(), 3u * 32 * 16);
  EXPECT_NEAR(colour.pixels[0], 200, 8);
  EXPECT_NEAR(colour.pixels[2 * 512 + 31], 200, 8);
  EXPECT_NEAR(colour.pixels[15 * 32], 100, 8);
  EXPECT_EQ(images::with_channels({"", -1, 3, 16, 32, colour.pixels}, 1).pixels.size(), 512u);
}

TEST(JpegFile, OrientationIsApplied) {
  const Picture plain = decode(jpeg());
  for (const bool little : {true, false})
    for (int orientation = 0; orientation <= 9; ++orientation) {
      const Picture turned = decode(with_orientation(jpeg(), orientation, little));
      const bool tall = orientation >= 5 && orientation <= 8;
      ASSERT_EQ(turned.width, tall ? 16 : 32) << orientation;
      // Where the stored corner with the bright red (0, 0) and that with the bright blue (31, 0) come to lie: x, y.
      const std::array<std::array<int, 4>, 10> corners = {{{0, 0, 31, 0},
                                                           {0, 0, 31, 0},
                                                           {31, 0, 0, 0},
                                                           {31, 15, 0, 15},
                                                           {0, 15, 31, 15},
                                                           {0, 0, 0, 31},
                                                           {15, 0, 15, 31},
                                                           {15, 31, 15, 0},
                                                           {0, 31, 0, 0},
                                                           {0, 0, 31, 0}}};
      const auto [rx, ry, bx, by] = corners[static_cast<std::size_t>(orientation)];
      const auto at = [&](int c, int x, int y) {
        return turned.pixels[static_cast<std::size_t>((c * turned.height + y) * turned.width + x)];
      };
      EXPECT_EQ(at(0, rx, ry), plain.pixels[0]) << orientation;
      EXPECT_EQ(at(2, bx, by), plain.pixels[2 * 512 + 31]) << orientation;
    }
}

TEST(JpegFile, TheSizeThatIsCheckedIsTheUprightOne) {
  decode_jpeg(with_orientation(jpeg(), 6), [](auto width, auto height) {
    EXPECT_EQ(width, 16u);
    EXPECT_EQ(height, 32u);
  });
}

TEST(JpegFile, TruncatedAtAnyLength) {
  const Bytes good = jpeg();
  for (std::size_t length = 0; length < good.size(); ++length)
    ASSERT_TRUE(refuses([&] { decode(Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(length))); }))
        << length;
}

TEST(JpegFile, DamagedAnyhow) {
  std::mt19937_64 rng(8);
  const Bytes good = with_orientation(jpeg(), 6);
  for (int k = 0; k < 4000; ++k) {
    try {
      const Picture p = decode_jpeg(test::mutate(good, rng), [](auto width, auto height) {
        if (width * height > 1'000'000) throw Error(ErrorCode::bad_input, "too large");
      });
      ASSERT_EQ(p.pixels.size(), static_cast<std::size_t>(p.channels * p.height * p.width));
    } catch (const Error& e) {
      ASSERT_EQ(e.code(), ErrorCode::bad_input) << e.what();
    }
  }
}

}  // namespace
}  // namespace sotto::decode
