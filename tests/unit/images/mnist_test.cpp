// IDX files as MNIST is published: names, plain and gzip, ranges, and what is wrong with those that are damaged.
#include <gtest/gtest.h>

#include "images/image_source.h"
#include "support/chunks.h"
#include "support/expect_error.h"
#include "support/files.h"
#include "support/hostile.h"

namespace sotto::images {
namespace {

using test::Bytes;
using test::refuses;

const plan::Interface kDigits{1, 3, 2, {0}, {1}, {}, 10};

Bytes idx(const std::vector<std::uint32_t>& sizes, const Bytes& items) {
  Bytes out = {0, 0, 8, static_cast<unsigned char>(sizes.size())};
  for (const auto size : sizes) test::append(out, test::big_endian(size, 4));
  test::append(out, items);
  return out;
}

class MnistFolder : public ::testing::Test {
 protected:
  void write(const std::string& prefix, std::uint32_t images, bool packed = false) {
    Bytes pixels(images * std::size_t{6}), labels(images);
    for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<unsigned char>(i);
    for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<unsigned char>(i % 10);
    store(prefix + "-images-idx3-ubyte", idx({images, 3, 2}, pixels), packed);
    store(prefix + "-labels-idx1-ubyte", idx({images}, labels), packed);
  }
  void store(const std::string& name, const Bytes& bytes, bool packed = false) {
    const auto path = folder / (name + (packed ? ".gz" : ""));
    std::filesystem::create_directories(path.parent_path());
    test::write_bytes(path, packed ? test::deflated(bytes, 31) : bytes);
  }
  std::vector<Image> load(const std::string& set = "mnist:", std::size_t start = 0,
                          std::optional<std::size_t> count = {}, const plan::Interface& io = kDigits,
                          const LoadOptions& options = {}) {
    return load_images({set + folder.path().string()}, io, start, count, options);
  }

  test::TempFolder folder;
};

TEST_F(MnistFolder, PlainAndPackedTestAndTraining) {
  write("t10k", 7);
  write("train", 12, true);
  const auto test = load(), train = load("mnist-train:", 5, 4);
  ASSERT_EQ(test.size(), 7u);
  ASSERT_EQ(train.size(), 4u);
  EXPECT_EQ(test[6].pixels, (Bytes{36, 37, 38, 39, 40, 41}));
  EXPECT_EQ(test[6].label, 6);
  EXPECT_EQ(test[6].name, "6");
  EXPECT_EQ(test[6].height, 3);
  EXPECT_EQ(test[6].width, 2);
  EXPECT_EQ(train[0].pixels[0], 30);
  EXPECT_EQ(train[3].label, 8);
}

TEST_F(MnistFolder, FoldersAndNamesOfOtherTools) {
  write("MNIST/raw/t10k", 2);
  EXPECT_EQ(load().size(), 2u);
  test::TempFolder other;
  std::filesystem::copy(folder / "MNIST/raw/t10k-images-idx3-ubyte", other / "t10k-images.idx3-ubyte");
  std::filesystem::copy(folder / "MNIST/raw/t10k-labels-idx1-ubyte", other / "t10k-labels.idx1-ubyte");
  EXPECT_EQ(load_images({"mnist:" + other.path().string()}, kDigits, 0, {}).size(), 2u);
}

TEST_F(MnistFolder, OtherShapesAreSaidSo) {
  write("t10k", 2);
  plan::Interface io{3, 32, 32, {}, {}, {}, 10};
  EXPECT_TRUE(refuses([&] { load("mnist:", 0, {}, io); }, {"1x3x2", "3x32x32"}));
  io = {1, 32, 32, {0}, {1}, {}, 10};
  EXPECT_TRUE(refuses([&] { load("mnist:", 0, {}, io); }, {"1x3x2", "1x32x32", "fitted"}));
  EXPECT_EQ(load("mnist:", 0, {}, io, {.fit = Fit::stretch}).at(0).pixels.size(), 1024u);
  io = {6, 1, 1, std::vector<double>(6), std::vector<double>(6, 1), {}, 10};
  EXPECT_EQ(load("mnist:", 0, {}, io).at(1).pixels[0], 6) << "a flat network takes as many values";
}

TEST_F(MnistFolder, NetworksOfOtherClasses) {
  write("t10k", 2);
  plan::Interface io = kDigits;
  io.outputs = 100;
  EXPECT_TRUE(
      refuses([&] { load("mnist:", 0, {}, io, {.labels = TrueLabels::needed}); }, {"10 classes", "100 outputs"}));
  std::vector<std::string> notes;
  const auto images = load("mnist:", 0, {}, io,
                           {.labels = TrueLabels::dropped, .note = [&](const std::string& n) { notes.push_back(n); }});
  EXPECT_EQ(images.at(1).label, -1);
  EXPECT_EQ(notes.size(), 1u);
  EXPECT_EQ(load("mnist:", 0, {}, io).at(1).label, 1) << "unchecked";
}

TEST_F(MnistFolder, FilesThatAreMissingOrDoNotFit) {
  EXPECT_TRUE(refuses([&] { load(); }, {"t10k-images-idx3-ubyte"}));
  write("t10k", 2);
  EXPECT_TRUE(refuses([&] { load("mnist-train:"); }, {"train-images-idx3-ubyte"}));
  store("t10k-labels-idx1-ubyte", idx({3}, Bytes(3)));
  EXPECT_TRUE(refuses([&] { load(); }, {"3 labels for 2 images"}));
  store("t10k-labels-idx1-ubyte", idx({2}, Bytes(3)));
  EXPECT_TRUE(refuses([&] { load(); }, {"labels", "longer"}));
  store("t10k-labels-idx1-ubyte", idx({2, 1, 1}, Bytes(2)));
  EXPECT_TRUE(refuses([&] { load(); }, {"labels", "IDX"}));
}

TEST_F(MnistFolder, HugeHeadersTakeNoMemory) {
  store("t10k-images-idx3-ubyte", idx({0xffffffff, 0xffffffff, 0xffffffff}, Bytes(60)));
  store("t10k-labels-idx1-ubyte", idx({0xffffffff}, Bytes(60)));
  EXPECT_TRUE(refuses([&] { load(); }, {"1x3x2"}));
  const plan::Interface io{1, 32, 32, {0}, {1}, {}, 10};
  EXPECT_TRUE(refuses([&] { load("mnist:", 0, {}, io, {.fit = Fit::crop}); }));
  store("t10k-images-idx3-ubyte", idx({0xffffffff, 3, 2}, Bytes(60)));
  EXPECT_TRUE(refuses([&] { load(); }, {"truncated"}));
}

TEST_F(MnistFolder, DamagedFiles) {
  for (const bool packed : {false, true}) {
    write("t10k", 5, packed);
    const std::string name = std::string("t10k-images-idx3-ubyte") + (packed ? ".gz" : "");
    const Bytes good = test::read_bytes(folder / name);
    std::error_code none;
    if (packed) std::filesystem::remove(folder / "t10k-images-idx3-ubyte", none);
    test::expect_refused_or_accepted(
        folder / name, good,
        [&] {
          try {
            return load();
          } catch (const Error& e) {  // may name the labels, if there are others now
            throw Error(e.code(), std::string(e.what()) + name);
          }
        },
        [](const std::vector<Image>& images) { ASSERT_EQ(images.size(), 5u); });
  }
}

}  // namespace
}  // namespace sotto::images
