// PNG files and folders of them; what the network sees of them.
#include <gtest/gtest.h>
#include <stb_image_write.h>

#include "client/sheet.h"
#include "images/image_source.h"
#include "support/expect_error.h"
#include "support/files.h"

namespace sotto::images {
namespace {

using test::Bytes;
using test::refuses;

const plan::Interface kColour{3, 4, 6, {0, 0, 0}, {1, 1, 1}, {"cat", "dog", "big cat"}, 3};

class Pictures : public ::testing::Test {
 protected:
  static Image random_image(int channels, int height, int width, unsigned seed) {
    std::mt19937_64 rng(seed);
    return {"",     -1,    channels,
            height, width, test::random_bytes(static_cast<std::size_t>(channels * height * width), rng)};
  }
  // Writes a random colour picture and returns it.
  Image write(const std::string& name, int height = 4, int width = 6, unsigned seed = 1) {
    const Image image = random_image(3, height, width, seed);
    std::filesystem::create_directories((folder / name).parent_path());
    test::write_bytes(folder / name, client::png_of(image, 1));
    return image;
  }
  std::vector<Image> load(const std::vector<std::string>& names = {""}, const plan::Interface& io = kColour,
                          std::size_t start = 0, std::optional<std::size_t> count = {}) {
    std::vector<std::string> sources;
    for (const auto& n : names) sources.push_back((folder / n).string());
    return load_images(sources, io, start, count);
  }

  test::TempFolder folder;
};

TEST_F(Pictures, PixelsComeBackChannelByChannel) {
  const Image written = write("a.png");
  const auto images = load({"a.png"});
  ASSERT_EQ(images.size(), 1u);
  EXPECT_EQ(images[0].name, "a.png");
  EXPECT_EQ(images[0].label, -1);
  EXPECT_EQ(images[0].channels, 3);
  EXPECT_EQ(images[0].height, 4);
  EXPECT_EQ(images[0].width, 6);
  EXPECT_EQ(images[0].pixels, written.pixels);
}

TEST_F(Pictures, NetworksOfOneChannelSeeGrey) {
  const Image grey = random_image(1, 4, 6, 2);
  test::write_bytes(folder / "grey.png", client::png_of(grey, 1));
  plan::Interface io = kColour;
  io.channels = 1;
  EXPECT_EQ(load({"grey.png"}, io).at(0).pixels, grey.pixels);
  io.channels = 4;
  EXPECT_TRUE(refuses([&] { load({"grey.png"}, io); }, {"grey.png", "4"}));
}

TEST_F(Pictures, JpegToo) {
  Bytes rgb(static_cast<std::size_t>(6 * 4 * 3)), file;
  for (std::size_t i = 0; i < rgb.size(); ++i) rgb[i] = static_cast<unsigned char>(40 + 30 * (i % 3) + 5 * (i / 18));
  const auto append = [](void* context, void* data, int size) {
    auto* out = static_cast<Bytes*>(context);
    out->insert(out->end(), static_cast<unsigned char*>(data), static_cast<unsigned char*>(data) + size);
  };
  ASSERT_NE(stbi_write_jpg_to_func(append, &file, 6, 4, 3, rgb.data(), 100), 0);
  test::write_bytes(folder / "a.JPG", file);
  const Image image = load().at(0);
  ASSERT_EQ(image.pixels.size(), rgb.size());
  for (std::size_t p = 0; p < 24; ++p)
    for (std::size_t c = 0; c < 3; ++c) EXPECT_NEAR(image.pixels[c * 24 + p], rgb[p * 3 + c], 12) << p << " " << c;
}

TEST_F(Pictures, FoldersAreReadRecursivelyInTheOrderOfNames) {
  for (const char* name : {"b.png", "a/z.PNG", "a/y.png", "c/d/x.png"}) write(name);
  test::write_text(folder / "a/notes.txt", "not a picture");
  std::vector<std::string> names;
  for (const Image& i : load()) names.push_back(i.name);
  EXPECT_EQ(names, (std::vector<std::string>{"a/y.png", "a/z.PNG", "b.png", "c/d/x.png"}));
}

TEST_F(Pictures, ListsKeepTheirOrder) {
  write("b.png", 4, 6, 1);
  write("a.png", 4, 6, 2);
  write("c/d.png", 4, 6, 3);
  std::vector<std::string> names;
  for (const Image& i : load({"c", "b.png", "a.png", "b.png"})) names.push_back(i.name);
  EXPECT_EQ(names, (std::vector<std::string>{"d.png", "b.png", "a.png", "b.png"}));
}

TEST_F(Pictures, LabelsFromFoldersAndFileNames) {
  const std::pair<const char*, int> cases[] = {{"cat/1.png", 0},     {"dog/cat_1.png", 1}, {"cat_7.png", 0},
                                               {"dog-x.png", 1},     {"dog12.png", 1},     {"dog.png", 1},
                                               {"doggy.png", -1},    {"Cat.png", -1},      {"big cat/a.png", 2},
                                               {"big cat_3.png", 2}, {"other/x.png", -1},  {"cat/deep/x.png", -1}};
  for (const auto& [name, label] : cases) {
    write(name);
    EXPECT_EQ(load({name}).at(0).label, label) << name;
  }
}

TEST_F(Pictures, LabelsOfClassesWithoutNamesAreNumbersOfFolders) {
  plan::Interface io = kColour;
  io.classes.clear();
  io.outputs = 12;
  const std::pair<const char*, int> cases[] = {{"0/04.png", 0},  {"11/a.png", 11},  {"12/a.png", -1}, {"-1/a.png", -1},
                                               {"1a/a.png", -1}, {"cat/1.png", -1}, {"3.png", -1}};
  for (const auto& [name, label] : cases) {
    write(name);
    EXPECT_EQ(load({name}, io).at(0).label, label) << name;
  }
}

TEST_F(Pictures, AnotherSizeIsSaidSo) {
  write("large.png", 40, 60);
  EXPECT_TRUE(refuses([&] { load({"large.png"}); }, {(folder / "large.png").string(), "60x40", "6x4"}));
  write("turned.png", 6, 4);
  EXPECT_TRUE(refuses([&] { load({"turned.png"}); }, {"turned.png", "4x6", "6x4"}));
}

TEST_F(Pictures, FilesThatAreNoPictures) {
  test::write_text(folder / "text.png", "text");
  EXPECT_TRUE(refuses([&] { load({"text.png"}); }, {"text.png", "not a PNG"}));
  test::write_bytes(folder / "empty.png", {});
  EXPECT_TRUE(refuses([&] { load({"empty.png"}); }, {"empty.png"}));
  test::write_text(folder / "notes.txt", "text");
  EXPECT_TRUE(refuses([&] { load({"notes.txt"}); }, {"notes.txt"}));
}

TEST_F(Pictures, FoldersThatAreEmptyOrMissing) {
  std::filesystem::create_directories(folder / "none/at all");
  EXPECT_TRUE(refuses([&] { load({"none"}); }, {"no images", "none"}));
  EXPECT_TRUE(refuses([&] { load({"missing"}); }, {"missing", "no such file"}));
  EXPECT_TRUE(refuses([&] { load({"missing.png"}); }, {"missing.png"}));
}

TEST_F(Pictures, DamagedPicturesAreRefused) {
  const Image good = write("a.png");
  const Bytes original = test::read_bytes(folder / "a.png");
  std::mt19937_64 rng(3);
  for (std::size_t i = 0; i < original.size() + 50; ++i) {  // more in decode/png_test.cpp
    const Bytes bytes = i < original.size() ? Bytes(original.begin(), original.begin() + static_cast<std::ptrdiff_t>(i))
                                            : test::mutate(original, rng);
    test::write_bytes(folder / "a.png", bytes);
    try {
      // Edits can cancel out or fall behind the end; all others break a checksum.
      ASSERT_EQ(load({"a.png"}).at(0).pixels, good.pixels) << i;
    } catch (const Error& e) {
      ASSERT_EQ(e.code(), ErrorCode::bad_input);
      ASSERT_NE(std::string(e.what()).find("a.png"), std::string::npos) << e.what();
    }
  }
}

TEST_F(Pictures, Ranges) {
  for (int i = 0; i < 5; ++i) write(std::to_string(i) + ".png");
  const auto some = load({""}, kColour, 1, 3);
  ASSERT_EQ(some.size(), 3u);
  EXPECT_EQ(some[0].name, "1.png");
  EXPECT_EQ(load({""}, kColour, 4).size(), 1u);
  EXPECT_TRUE(refuses([&] { load({""}, kColour, 5); }, {"5 images"}));
  EXPECT_TRUE(refuses([&] { load({""}, kColour, 1, 5); }, {"5 images", "5 from number 1 on"}));
  EXPECT_TRUE(test::fails_with([&] { load({""}, kColour, 0, 0); }, ErrorCode::usage));
  write("9.png", 1, 1);
  EXPECT_EQ(load({""}, kColour, 0, 5).size(), 5u) << "pictures outside the range may be anything";
}

TEST(Preprocess, Formula) {
  const plan::Interface io{2, 1, 2, {0.5, 0.25}, {2, 0.125}, {}, 1};
  const Image image{"", -1, 2, 1, 2, {0, 255, 51, 128}};
  const std::vector<double> expected = {(0.0 - 0.5) / 2, (1.0 - 0.5) / 2, (51 / 255.0 - 0.25) / 0.125,
                                        (128 / 255.0 - 0.25) / 0.125};
  EXPECT_EQ(preprocess(image, io), expected);
}

}  // namespace
}  // namespace sotto::images
