// CIFAR binary files: labels, pixels, ranges, and what is wrong with those that are damaged.
#include <gtest/gtest.h>

#include "images/image_source.h"
#include "support/expect_error.h"
#include "support/files.h"

namespace sotto::images {
namespace {

using test::Bytes;
using test::refuses;

const plan::Interface kCifar{3, 32, 32, {0, 0, 0}, {1, 1, 1}, {}, 10};
constexpr std::size_t kPixels = 3072;

class CifarFolder : public ::testing::Test {
 protected:
  // A file of random images; image i of it has label first + i.
  Bytes write(const std::filesystem::path& path, std::size_t images, std::size_t label_bytes, int first = 0) {
    std::filesystem::create_directories(path.parent_path());
    Bytes all;
    for (std::size_t i = 0; i < images; ++i) {
      Bytes record = test::random_bytes(label_bytes + kPixels, rng);
      record[label_bytes - 1] = static_cast<unsigned char>(first + static_cast<int>(i));
      all.insert(all.end(), record.begin(), record.end());
    }
    test::write_bytes(path, all);
    return all;
  }
  std::vector<Image> load(const std::string& layout, std::size_t start = 0, std::optional<std::size_t> count = {},
                          const plan::Interface& io = kCifar) {
    return load_images({layout + folder.path().string()}, io, start, count);
  }

  std::mt19937_64 rng{1};
  test::TempFolder folder;
};

TEST_F(CifarFolder, ReadsLabelsAndPixels) {
  const Bytes bytes = write(folder / "test_batch.bin", 3, 1, 4);
  const auto images = load("cifar10:");
  ASSERT_EQ(images.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(images[i].label, 4 + static_cast<int>(i));
    EXPECT_EQ(images[i].name, std::to_string(i));
    EXPECT_EQ(images[i].channels, 3);
    EXPECT_EQ(images[i].height, 32);
    EXPECT_EQ(images[i].width, 32);
    const auto pixels = bytes.begin() + static_cast<std::ptrdiff_t>(i * (kPixels + 1) + 1);
    EXPECT_EQ(images[i].pixels, Bytes(pixels, pixels + kPixels));
  }
}

TEST_F(CifarFolder, UsualSubfolders) {
  write(folder / "cifar-10-batches-bin/test_batch.bin", 1, 1, 7);
  write(folder / "cifar-100-binary/test.bin", 1, 2, 99);
  write(folder / "cifar-100-binary/train.bin", 2, 2, 50);
  EXPECT_EQ(load("cifar10:").at(0).label, 7);
  EXPECT_EQ(load("cifar100:").at(0).label, 99) << "the fine label, the second byte";
  EXPECT_EQ(load("cifar100-train:").at(1).label, 51);
}

TEST_F(CifarFolder, RangesAcrossFiles) {
  for (int f = 1; f <= 5; ++f) write(folder / ("data_batch_" + std::to_string(f) + ".bin"), 3, 1, 10 * f);
  const auto all = load("cifar10-train:");
  ASSERT_EQ(all.size(), 15u);
  const auto some = load("cifar10-train:", 2, 6);
  ASSERT_EQ(some.size(), 6u);
  std::vector<int> labels;
  for (std::size_t i = 0; i < some.size(); ++i) {
    labels.push_back(some[i].label);
    EXPECT_EQ(some[i].name, std::to_string(i + 2));
    EXPECT_EQ(some[i].pixels, all[i + 2].pixels);
  }
  EXPECT_EQ(labels, (std::vector<int>{12, 20, 21, 22, 30, 31}));
  EXPECT_EQ(load("cifar10-train:", 14).size(), 1u);
}

TEST_F(CifarFolder, RangesThatAskForTooMuch) {
  write(folder / "test_batch.bin", 3, 1);
  EXPECT_EQ(load("cifar10:", 1, 2).size(), 2u);
  EXPECT_TRUE(refuses([&] { load("cifar10:", 1, 3); }, {"3 images", "3 from number 1 on"}));
  EXPECT_TRUE(refuses([&] { load("cifar10:", 3); }, {"3 images", "those from number 3 on"}));
  EXPECT_TRUE(refuses([&] { load("cifar10:", SIZE_MAX, 2); }));
  EXPECT_TRUE(refuses([&] { load("cifar10:", 1, SIZE_MAX); }));
  EXPECT_TRUE(test::fails_with([&] { load("cifar10:", 0, 0); }, ErrorCode::usage, {"at least one image"}));
}

TEST_F(CifarFolder, FilesThatAreDamagedOrMissing) {
  EXPECT_TRUE(refuses([&] { load("cifar10:"); }, {"test_batch.bin"}));
  Bytes bytes = write(folder / "test_batch.bin", 2, 1);
  for (std::size_t length : {std::size_t{1}, kPixels, kPixels + 2, bytes.size() - 1}) {
    test::write_bytes(folder / "test_batch.bin",
                      Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length)));
    EXPECT_TRUE(refuses([&] { load("cifar10:"); }, {"test_batch.bin", "truncated"})) << length;
  }
  test::write_bytes(folder / "test_batch.bin", {});
  EXPECT_TRUE(refuses([&] { load("cifar10:"); }, {"no images"}));
  for (int f = 1; f <= 4; ++f) write(folder / ("data_batch_" + std::to_string(f) + ".bin"), 1, 1);
  EXPECT_TRUE(refuses([&] { load("cifar10-train:"); }, {"data_batch_5.bin"}));
  EXPECT_TRUE(refuses([&] { load_images({"cifar10:" + (folder / "nowhere").string()}, kCifar, 0, {}); }, {"nowhere"}));
}

TEST_F(CifarFolder, NetworksForOtherImages) {
  write(folder / "test_batch.bin", 1, 1);
  for (const auto& [c, h, w] : {std::tuple(1, 32, 32), std::tuple(3, 28, 32), std::tuple(3, 32, 64)}) {
    const plan::Interface io{c, h, w, {}, {}, {}, 10};
    EXPECT_TRUE(refuses([&] { load("cifar10:", 0, {}, io); },
                        {"3x32x32", std::to_string(c) + "x" + std::to_string(h) + "x" + std::to_string(w)}));
  }
}

TEST_F(CifarFolder, OneSourceOnly) {
  write(folder / "test_batch.bin", 1, 1);
  const std::string source = "cifar10:" + folder.path().string();
  EXPECT_TRUE(test::fails_with([&] { load_images({source, source}, kCifar, 0, {}); }, ErrorCode::usage));
  EXPECT_TRUE(test::fails_with([&] { load_images({}, kCifar, 0, {}); }, ErrorCode::usage, {"no images"}));
}

}  // namespace
}  // namespace sotto::images
