// PNG files of every kind, and those that are damaged, hostile or not opaque.
#include <gtest/gtest.h>

#include "decode/picture.h"
#include "support/chunks.h"
#include "support/expect_error.h"
#include "support/files.h"

namespace sotto::decode {
namespace {

using test::append;
using test::Bytes;
using test::png;
using test::png_chunk;
using test::refuses;

constexpr int kGrey = 0, kRgb = 2, kPalette = 3, kGreyAlpha = 4, kRgba = 6;

Picture decode(const Bytes& file) {
  return decode_png(file, [](auto, auto) {});
}

TEST(PngFile, GreyAndColour) {
  EXPECT_EQ(decode(png(2, 1, 8, kGrey, {0, 7, 200})).pixels, (Bytes{7, 200}));
  const Picture rgb = decode(png(2, 1, 8, kRgb, {0, 1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(rgb.pixels, (Bytes{1, 4, 2, 5, 3, 6}));
  EXPECT_EQ(rgb.channels, 3);
}

TEST(PngFile, FewBitsAndManyBits) {
  EXPECT_EQ(decode(png(4, 1, 1, kGrey, {0, 0xa0})).pixels, (Bytes{255, 0, 255, 0}));
  EXPECT_EQ(decode(png(2, 1, 4, kGrey, {0, 0x3f})).pixels, (Bytes{0x33, 0xff}));
  // 16 bits are rounded: 0x01ff is 1.996 of 255ths, 0x8000 is 127.5.
  EXPECT_EQ(decode(png(3, 1, 16, kGrey, {0, 0x01, 0xff, 0x00, 0x00, 0xff, 0xff})).pixels, (Bytes{2, 0, 255}));
}

TEST(PngFile, PalettesBecomeColours) {
  const Bytes palette = png_chunk("PLTE", {10, 20, 30, 40, 50, 60});
  EXPECT_EQ(decode(png(2, 1, 8, kPalette, {0, 1, 0}, palette)).pixels, (Bytes{40, 10, 50, 20, 60, 30}));
  EXPECT_TRUE(refuses([&] { decode(png(2, 1, 8, kPalette, {0, 1, 0})); }, {"damaged"})) << "no palette";
  for (const unsigned char index : {2, 255})
    EXPECT_TRUE(refuses([&] { decode(png(2, 1, 8, kPalette, {0, 1, index}, palette)); }, {"its palette lacks"}));
}

TEST(PngFile, OpaqueOrRefused) {
  EXPECT_EQ(decode(png(1, 2, 8, kRgba, {0, 1, 2, 3, 255, 0, 4, 5, 6, 255})).pixels, (Bytes{1, 4, 2, 5, 3, 6}));
  EXPECT_EQ(decode(png(1, 1, 8, kGreyAlpha, {0, 9, 255})).pixels, (Bytes{9}));
  EXPECT_TRUE(refuses([&] { decode(png(1, 2, 8, kRgba, {0, 1, 2, 3, 255, 0, 4, 5, 6, 254})); }, {"transparent"}));
  EXPECT_TRUE(refuses([&] { decode(png(1, 1, 8, kGreyAlpha, {0, 9, 0})); }, {"transparent"}));
  // A transparent colour that occurs, and one that does not.
  const Bytes clear = png_chunk("tRNS", {0, 7});
  EXPECT_TRUE(refuses([&] { decode(png(1, 1, 8, kGrey, {0, 7}, clear)); }, {"transparent"}));
  EXPECT_EQ(decode(png(1, 1, 8, kGrey, {0, 8}, clear)).pixels, (Bytes{8}));
}

TEST(PngFile, GammaIsIgnoredAsTrainingDoes) {
  const Bytes linear = png_chunk("gAMA", test::big_endian(100000, 4));
  EXPECT_EQ(decode(png(2, 1, 8, kGrey, {0, 7, 100}, linear)).pixels, (Bytes{7, 100}));
}

TEST(PngFile, EveryFlippedBitIsFound) {
  const Bytes good = png(3, 2, 8, kRgb, Bytes(20, 1), png_chunk("tEXt", {'a', 0, 'b'}));
  ASSERT_NO_THROW(decode(good));
  for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
    Bytes bad = good;
    bad[bit / 8] ^= static_cast<unsigned char>(1U << bit % 8);
    ASSERT_TRUE(refuses([&] { decode(bad); })) << bit;
  }
  for (std::size_t length = 0; length < good.size(); ++length)
    ASSERT_TRUE(refuses([&] { decode(Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(length))); }))
        << length;
}

TEST(PngFile, EditsAreFound) {
  std::mt19937_64 rng(3);
  Bytes rows = test::random_bytes(4 * 19, rng);
  for (std::size_t y = 0; y < 4; ++y) rows[19 * y] = 0;
  const Bytes good = png(6, 4, 8, kRgb, rows);
  const Picture original = decode(good);
  for (int k = 0; k < 2000; ++k) {
    try {
      // Edits can cancel out or fall behind the end; all others break a checksum.
      ASSERT_EQ(decode(test::mutate(good, rng)).pixels, original.pixels) << k;
    } catch (const Error& e) {
      ASSERT_EQ(e.code(), ErrorCode::bad_input);
    }
  }
}

TEST(PngFile, TooFewPixels) {
  EXPECT_TRUE(refuses([&] { decode(png(3, 2, 8, kRgb, Bytes(19, 0))); }, {"damaged"}));
  EXPECT_TRUE(refuses([&] { decode(png(3, 2, 8, kRgb, {})); }, {"damaged"}));
}

TEST(PngFile, ChunksThatPixelsDoNotDependOnAreNotRead) {
  for (const char* kind : {"zTXt", "iTXt", "iCCP", "tEXt", "sPLT", "gAMA", "sBIT", "bKGD", "eXIf", "zzZz"})
    EXPECT_EQ(decode(png(2, 1, 8, kGrey, {0, 7, 200}, png_chunk(kind, {1, 2, 3}))).pixels, (Bytes{7, 200})) << kind;
}

TEST(PngFile, ChunksThatPixelsMayDependOnAreKnown) {
  const Bytes good = png(2, 1, 8, kGrey, {0, 7, 200}), unknown = png_chunk("IdDA", {1, 2, 3});
  EXPECT_TRUE(refuses([&] { decode(png(2, 1, 8, kGrey, {0, 7, 200}, unknown)); }, {"unknown"})) << "before pixels";
  Bytes behind(good.begin(), good.end() - 12);
  append(behind, unknown);
  append(behind, png_chunk("IEND", {}));
  EXPECT_TRUE(refuses([&] { decode(behind); }, {"unknown"})) << "behind them";
}

// A picture of 2 x 2 grey pixels whose compressed data are these, a chunk for so many bytes of them.
Bytes in_chunks(const Bytes& data, std::size_t bytes, bool interlaced = false) {
  Bytes file = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  append(file,
         png_chunk("IHDR", {0, 0, 0, 2, 0, 0, 0, 2, 8, kGrey, 0, 0, static_cast<unsigned char>(interlaced ? 1 : 0)}));
  for (std::size_t at = 0; at < data.size(); at += bytes)
    append(file, png_chunk("IDAT", {data.begin() + static_cast<std::ptrdiff_t>(at),
                                    data.begin() + static_cast<std::ptrdiff_t>(std::min(data.size(), at + bytes))}));
  append(file, png_chunk("IEND", {}));
  return file;
}

TEST(PngFile, MoreDataThanPixelsAreNotInflated) {
  const Bytes plain = {0, 1, 2, 0, 3, 4}, passes = {0, 1, 0, 2, 0, 3, 4};  // of interlaced pixels: 1; 2; 3 and 4
  for (const bool interlaced : {false, true}) {
    Bytes rows = interlaced ? passes : plain;
    // The end of the data may lie in chunks of its own.
    for (const std::size_t bytes : {1, 3, 1000})
      EXPECT_EQ(decode(in_chunks(test::deflated(rows, 15), bytes, interlaced)).pixels, (Bytes{1, 2, 3, 4}));
    rows.resize(7);
    EXPECT_TRUE(refuses([&] { decode(in_chunks(test::deflated(rows, 15), 1000)); }, {"damaged"}));
    rows.resize(std::size_t{100} << 20);
    const Bytes bomb = test::deflated(rows, 15);
    for (const std::size_t bytes : {std::size_t{1000}, bomb.size()})
      EXPECT_TRUE(refuses([&] { decode(in_chunks(bomb, bytes, interlaced)); }, {"more data than pixels"})) << bytes;
  }
}

TEST(PngFile, SizesAreCheckedBeforeAnythingIsDecoded) {
  const Bytes huge = png(0x7fffffff, 0x7fffffff, 8, kRgb, {});
  bool asked = false;
  EXPECT_TRUE(refuses(
      [&] {
        decode_png(huge, [&](auto width, auto height) {
          asked = true;
          EXPECT_EQ(width, 0x7fffffffu);
          EXPECT_EQ(height, 0x7fffffffu);
          throw Error(ErrorCode::bad_input, "too large");
        });
      },
      {"too large"}));
  EXPECT_TRUE(asked);
}

// Chunks of the right checksums with any contents reach libpng itself.
TEST(PngFile, RandomContentsWithRightChecksums) {
  std::mt19937_64 rng(5);
  const Bytes rows = test::random_bytes(3 * 5, rng);
  for (int k = 0; k < 3000; ++k) {
    Bytes header = test::big_endian(1 + rng() % 4, 4), file = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    append(header, test::big_endian(1 + rng() % 4, 4));
    append(header, Bytes{static_cast<unsigned char>(1U << rng() % 5), static_cast<unsigned char>(rng() % 7), 0, 0,
                         static_cast<unsigned char>(rng() % 2)});
    append(file, png_chunk("IHDR", header));
    for (const char* kind : {"PLTE", "tRNS", "gAMA", "iCCP", "sBIT", "tEXt", "zTXt", "fRAc"})
      if (rng() % 3 == 0) append(file, png_chunk(kind, test::random_bytes(rng() % 20, rng)));
    append(file, png_chunk("IDAT", test::mutate(test::deflated(test::random_bytes(rng() % 80, rng), 15), rng)));
    append(file, png_chunk("IEND", {}));
    try {
      const Picture p = decode(file);
      ASSERT_EQ(p.pixels.size(), static_cast<std::size_t>(p.channels * p.height * p.width));
    } catch (const Error& e) {
      ASSERT_EQ(e.code(), ErrorCode::bad_input) << e.what();
    }
  }
}

}  // namespace
}  // namespace sotto::decode
