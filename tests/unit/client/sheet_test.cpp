// Contact sheets: a PNG that decodes and shows the pictures, a page that needs no other file and lets no name break
// out.
#include "client/sheet.h"

#include <gtest/gtest.h>
#include <sodium.h>

#include <cmath>

#include "decode/picture.h"
#include "images/channels.h"
#include "support/expect_error.h"
#include "support/files.h"

namespace sotto::client {
namespace {

struct Decoded {
  int width = 0, height = 0;
  test::Bytes rgb;

  [[nodiscard]] std::array<int, 3> at(int x, int y) const {
    const auto p = static_cast<std::size_t>(y * width + x) * 3;
    return {rgb.at(p), rgb.at(p + 1), rgb.at(p + 2)};
  }
  [[nodiscard]] bool contains(const std::array<int, 3>& colour) const {
    for (int y = 0; y < height; ++y)
      for (int x = 0; x < width; ++x)
        if (at(x, y) == colour) return true;
    return false;
  }
};

Decoded decode(const test::Bytes& png) {
  const decode::Picture read = decode::decode_png(png, [](auto, auto) {});
  const images::Image picture = images::with_channels({"", -1, read.channels, read.height, read.width, read.pixels}, 3);
  Decoded d{picture.width, picture.height, test::Bytes(picture.pixels.size())};
  const std::size_t plane = d.rgb.size() / 3;
  for (std::size_t p = 0; p < plane; ++p)
    for (std::size_t c = 0; c < 3; ++c) d.rgb[3 * p + c] = picture.pixels[c * plane + p];
  return d;
}

// Plain pictures of one colour each.
images::Image plain(std::array<std::uint8_t, 3> colour, int label = -1, const std::string& name = "a.png",
                    int side = 8) {
  images::Image image{name, label, 3, side, side, {}};
  for (auto c : colour) image.pixels.insert(image.pixels.end(), static_cast<std::size_t>(side * side), c);
  return image;
}

std::vector<Doubt> no_doubts(std::size_t count) { return std::vector<Doubt>(count, Doubt::none); }

std::size_t count(const std::string& text, const std::string& word) {
  std::size_t n = 0;
  for (auto at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++n;
  return n;
}

TEST(Png, OnePictureMagnified) {
  images::Image image{"", -1, 3, 2, 3, {}};
  for (int i = 0; i < 18; ++i) image.pixels.push_back(static_cast<std::uint8_t>(10 * i));
  const Decoded d = decode(png_of(image, 4));
  ASSERT_EQ(d.width, 12);
  ASSERT_EQ(d.height, 8);
  for (int y = 0; y < 8; ++y)
    for (int x = 0; x < 12; ++x) {
      const int p = y / 4 * 3 + x / 4;
      EXPECT_EQ(d.at(x, y), (std::array{10 * p, 10 * (p + 6), 10 * (p + 12)})) << x << "," << y;
    }
}

TEST(Png, GreyPictures) {
  const Decoded d = decode(png_of({"", -1, 1, 1, 2, {7, 200}}, 1));
  EXPECT_EQ(d.at(0, 0), (std::array{7, 7, 7}));
  EXPECT_EQ(d.at(1, 0), (std::array{200, 200, 200}));
}

TEST(Sheet, PngShowsEveryPicture) {
  const test::TempFolder folder;
  plan::Interface io;
  io.classes = {"cat", "dog"};
  std::vector<images::Image> images;
  Scores scores;
  for (int i = 0; i < 30; ++i) {
    images.push_back(plain({static_cast<std::uint8_t>(100 + i), 3, static_cast<std::uint8_t>(200 - i)}, i % 3 - 1));
    scores.push_back({static_cast<double>(i % 2), 0.5});
  }
  write_sheet(folder / "s.png", images, scores, no_doubts(30), io, "A title");
  const Decoded d = decode(test::read_bytes(folder / "s.png"));
  for (int i = 0; i < 30; ++i) EXPECT_TRUE(d.contains({100 + i, 3, 200 - i})) << i;
  EXPECT_TRUE(d.contains({30, 30, 30})) << "title";
  EXPECT_TRUE(d.contains({20, 120, 60})) << "right labels";
  EXPECT_TRUE(d.contains({190, 40, 30})) << "wrong labels";
}

TEST(Sheet, PngOfManyPicturesShowsTheFirst) {
  const test::TempFolder folder;
  std::vector<images::Image> images(kMostOnSheet, plain({1, 2, 3}, -1, "a", 2));
  images.push_back(plain({9, 8, 7}, -1, "a", 2));
  write_sheet(folder / "s.png", images, Scores(images.size(), {0.0, 1.0}), no_doubts(images.size()), {}, "");
  const Decoded d = decode(test::read_bytes(folder / "s.png"));
  EXPECT_TRUE(d.contains({1, 2, 3}));
  EXPECT_FALSE(d.contains({9, 8, 7}));
}

TEST(Sheet, HtmlEscapesEveryName) {
  const test::TempFolder folder;
  const std::string evil = "<script>alert(\"1\")</script>'&";
  plan::Interface io;
  io.classes = {evil, "x\"><img src=//evil>"};
  const std::vector<images::Image> images = {plain({1, 2, 3}, 0, evil), plain({1, 2, 3}, 1, "\" onload=\"evil"),
                                             plain({4, 5, 6}, -1, "plain")};
  write_sheet(folder / "s.html", images, {{1, 0}, {1, 0}, {0, 1}}, no_doubts(3), io, evil);
  const std::string page = test::read_text(folder / "s.html");
  EXPECT_EQ(page.find("<script"), std::string::npos);
  EXPECT_EQ(page.find("//evil>"), std::string::npos);
  EXPECT_EQ(page.find("\" onload"), std::string::npos);
  EXPECT_NE(page.find(escape_html(evil)), std::string::npos) << "escaped, but there";
  EXPECT_EQ(count(page, "<img "), 3u);
  EXPECT_EQ(count(page, "<figure>"), count(page, "</figure>"));
  EXPECT_EQ(count(page, "class=\"wrong\""), 1u);
  EXPECT_EQ(count(page, "class=\"right\""), 1u);
  // No other file is needed: every source is a picture in the page itself.
  EXPECT_EQ(count(page, "src=\"data:image/png;base64,"), 3u);
  EXPECT_EQ(count(page, "http"), 0u);
}

TEST(Sheet, PicturesInPagesDecode) {
  const images::Image image = plain({10, 20, 30});
  const std::string uri = data_uri(png_of(image, 1)), prefix = "data:image/png;base64,";
  ASSERT_TRUE(uri.starts_with(prefix));
  test::Bytes bytes(uri.size());
  std::size_t length = 0;
  ASSERT_EQ(sodium_base642bin(bytes.data(), bytes.size(), uri.data() + prefix.size(), uri.size() - prefix.size(),
                              nullptr, &length, nullptr, sodium_base64_VARIANT_ORIGINAL),
            0);
  bytes.resize(length);
  EXPECT_EQ(bytes, png_of(image, 1));
}

TEST(Sheet, EscapesAllFiveCharacters) {
  EXPECT_EQ(escape_html("a<b>&\"c'd\n\xc3\xa9"), "a&lt;b&gt;&amp;&quot;c&#39;d\n\xc3\xa9");
}

TEST(Sheet, OtherEndings) {
  const test::TempFolder folder;
  for (const char* name : {"s.jpg", "s", "s.PNGX", ".png"})
    EXPECT_TRUE(test::fails_with(
        [&] {
          write_sheet(folder / name, {plain({1, 2, 3})}, {{1}}, no_doubts(1), {}, "");
        },
        ErrorCode::usage, {".png", ".html"}))
        << name;
  EXPECT_TRUE(folder.names().empty());
}

TEST(Sheet, NamesThatAreNotAscii) {
  // The picture's font has the characters 32 to 126; others must not be looked up in its tables.
  const test::TempFolder folder;
  plan::Interface io;
  io.classes = {"caf\xc3\xa9 \xe7\x8c\xab", "tab\tand\x01\x7f\x80\xff"};
  write_sheet(folder / "s.png", {plain({1, 2, 3}, 0), plain({4, 5, 6}, 0)}, {{1, 0}, {0, 1}}, no_doubts(2), io,
              "\xe7\x8c\xab.onnx");
  const Decoded d = decode(test::read_bytes(folder / "s.png"));
  EXPECT_TRUE(d.contains({1, 2, 3}));
  EXPECT_TRUE(d.contains({4, 5, 6}));
}

TEST(Sheet, DoubtfulImagesAreMarked) {
  const test::TempFolder folder;
  plan::Interface io;
  io.classes = {"cat", "dog"};
  const std::vector<images::Image> images = {plain({1, 2, 3}, 0), plain({4, 5, 6}, 0)};
  const Scores scores = {{1, 0}, {std::nan(""), 0}};
  const std::array<int, 3> frame = {220, 130, 0};
  write_sheet(folder / "s.png", images, {{1, 0}, {1, 0}}, no_doubts(2), io, "");
  EXPECT_FALSE(decode(test::read_bytes(folder / "s.png")).contains(frame));
  write_sheet(folder / "s.png", images, scores, {Doubt::none, Doubt::spoiled}, io, "");
  EXPECT_TRUE(decode(test::read_bytes(folder / "s.png")).contains(frame));
  write_sheet(folder / "s.html", images, scores, {Doubt::none, Doubt::spoiled}, io, "");
  const std::string page = test::read_text(folder / "s.html");
  EXPECT_EQ(count(page, "doubtful: batch spoiled"), 1u);
  EXPECT_EQ(count(page, "no result"), 1u);
}

}  // namespace
}  // namespace sotto::client
