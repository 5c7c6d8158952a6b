// The Python files of CIFAR: read as the fixed structure that they are, and never run.
#include <gtest/gtest.h>

#include "images/image_source.h"
#include "images/pickle.h"
#include "support/chunks.h"
#include "support/expect_error.h"
#include "support/files.h"
#include "support/hostile.h"
#include "support/pickler.h"

namespace sotto::images {
namespace {

using test::Bytes;
using test::Pickler;
using test::refuses;

const plan::Interface kCifar{3, 32, 32, {0, 0, 0}, {1, 1, 1}, {}, 10};
constexpr std::size_t kPixels = 3072;

Bytes batch(int protocol, const Bytes& pixels, const std::vector<int>& labels, const std::string& key = "labels") {
  Pickler p(protocol);
  p.text("batch_label");
  p.text("testing batch 1 of 1");
  p.labels(key, labels);
  p.data(pixels, static_cast<int>(labels.size()), static_cast<int>(kPixels));
  p.names("filenames", std::vector<std::string>(labels.size(), "domestic_cat_s_000907.png"));
  return p.finish();
}

class CifarPython : public ::testing::Test {
 protected:
  void write(const std::string& name, const Bytes& bytes) {
    std::filesystem::create_directories((folder / name).parent_path());
    test::write_bytes(folder / name, bytes);
  }
  std::vector<Image> load(const std::string& set = "cifar10:", std::size_t start = 0,
                          std::optional<std::size_t> count = {}, const LoadOptions& options = {}) {
    return load_images({set + folder.path().string()}, kCifar, start, count, options);
  }

  std::mt19937_64 rng{4};
  test::TempFolder folder;
};

TEST_F(CifarPython, EveryProtocolAndBothSets) {
  const Bytes pixels = test::random_bytes(2 * kPixels, rng);
  for (const int protocol : {2, 4}) {
    write("cifar-10-batches-py/test_batch", batch(protocol, pixels, {3, 9}));
    write("cifar-100-python/test", batch(protocol, pixels, {77, 0}, "fine_labels"));
    for (const char* set : {"cifar10:", "cifar100:"}) {
      const auto images = load(set);
      ASSERT_EQ(images.size(), 2u);
      EXPECT_EQ(images[0].label, std::string(set) == "cifar10:" ? 3 : 77);
      EXPECT_EQ(images[1].pixels, Bytes(pixels.begin() + kPixels, pixels.end()));
      EXPECT_EQ(images[1].name, "1");
    }
  }
}

TEST_F(CifarPython, RangesAcrossFiles) {
  std::vector<Bytes> pixels;
  for (int f = 0; f < 5; ++f) {
    pixels.push_back(test::random_bytes(3 * kPixels, rng));
    write("data_batch_" + std::to_string(f + 1), batch(2, pixels.back(), {f, f, f}));
  }
  const auto images = load("cifar10-train:", 2, 5);
  ASSERT_EQ(images.size(), 5u);
  std::vector<int> labels;
  for (const auto& image : images) labels.push_back(image.label);
  EXPECT_EQ(labels, (std::vector<int>{0, 1, 1, 1, 2}));
  EXPECT_EQ(images[3].pixels, Bytes(pixels[1].begin() + 2 * kPixels, pixels[1].end()));
}

TEST_F(CifarPython, BinaryFilesComeFirst) {
  write("cifar-10-batches-py/test_batch", batch(2, Bytes(kPixels), {1}));
  Bytes record(kPixels + 1, 5);
  write("cifar-10-batches-bin/test_batch.bin", record);
  EXPECT_EQ(load().at(0).label, 5);
}

TEST_F(CifarPython, ClassesAreThoseOfTheirNames) {
  write("cifar-10-batches-py/test_batch", batch(2, Bytes(kPixels), {1}));
  Pickler names(2);
  names.names("label_names",
              {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"});
  write("cifar-10-batches-py/batches.meta", names.finish());
  plan::Interface io = kCifar;
  const auto with = [&](std::vector<std::string> classes) {
    io.outputs = static_cast<int>(classes.size());
    io.classes = std::move(classes);
    std::vector<std::string> notes;
    (void)load_images({"cifar10:" + folder.path().string()}, io, 0, {},
                      {.labels = TrueLabels::dropped, .note = [&](const std::string& n) { notes.push_back(n); }});
    return notes.size();
  };
  EXPECT_EQ(with({"Plane", "car", "Bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"}), 0u);
  EXPECT_EQ(with({"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}), 1u);
  EXPECT_EQ(with({"cat", "dog", "ship"}), 1u);
}

TEST_F(CifarPython, NothingIsEverRun) {
  for (const auto& [module, name] : {std::pair("os", "system"), std::pair("builtins", "eval"),
                                     std::pair("numpy.core.multiarray", "scalar"), std::pair("numpy", "load")}) {
    Pickler p(2);
    p.text("data");
    p.global(module, name);
    p.text("true");
    p.op(0x85);
    p.op('R');
    write("test_batch", p.finish());
    EXPECT_TRUE(refuses([&] { load(); }, {"test_batch", std::string(module) + "." + name})) << name;
  }
  Pickler p(4);
  p.global("os", "sys\ntem");
  write("test_batch", p.finish());
  EXPECT_TRUE(refuses([&] { load(); }, {"os.sys?tem"})) << "on one line";
}

TEST_F(CifarPython, OtherStructures) {
  const auto refused = [&](const Bytes& bytes, std::initializer_list<std::string_view> words) {
    write("test_batch", bytes);
    EXPECT_TRUE(refuses([&] { load(); }, words));
  };
  refused(batch(2, Bytes(kPixels - 1), {1}), {"do not belong together"});
  refused(batch(2, Bytes(kPixels), {1}, "classes"), {"'labels'"});
  refused(batch(2, Bytes(kPixels), {300}), {"out of range"});
  refused({0x80, 5, 'N', '.'}, {"protocol 5"});
  refused({0x80, 2, 'N', '.'}, {"dictionary"});
  refused({'(', 'd', 'p', '0', '\n', '.'}, {"pickle"});
  refused({}, {"truncated"});
}

TEST_F(CifarPython, SmallFilesThatWouldGrow) {
  // One long list, named again and again: 2 MB that stand for 10^11 numbers.
  Pickler p(2);
  p.text("labels");
  p.op(']');
  p.op('q');
  p.op(200);
  p.op('(');
  for (int k = 0; k < 300'000; ++k) p.number(1);
  p.op('e');
  for (int k = 0; k < 300'000; ++k) {
    p.op('N');
    p.op('h');
    p.op(200);
  }
  EXPECT_NO_THROW((void)parse_pickle(p.finish())) << "keys that are no text are passed over";
  Pickler q(2);
  q.text("labels");
  q.op('q');
  q.op(201);
  q.op(']');
  q.op('q');
  q.op(200);
  q.op('(');
  for (int k = 0; k < 300'000; ++k) q.number(1);
  q.op('e');
  for (int k = 0; k < 300'000; ++k)
    for (const int code : {0x68, 201, 0x68, 200}) q.op(code);
  EXPECT_TRUE(refuses([&] { (void)parse_pickle(q.finish()); }, {"too many"}));
  Bytes marks = {0x80, 2};
  marks.resize(5'000'000, '(');
  EXPECT_TRUE(refuses([&] { (void)parse_pickle(marks); }, {"too many"}));
}

TEST_F(CifarPython, DamagedFiles) {
  test::expect_refused_or_accepted(
      folder / "test_batch", batch(2, Bytes(kPixels), {1}), [&] { return load(); },
      [](const std::vector<Image>& images) { ASSERT_EQ(images.size(), 1u); }, 4000);
}

}  // namespace
}  // namespace sotto::images
