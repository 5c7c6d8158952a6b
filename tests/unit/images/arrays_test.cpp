// NumPy files: shapes, layouts, types, labels, and what must be refused with both shapes or types named.
#include <gtest/gtest.h>

#include <cstring>

#include "images/image_source.h"
#include "support/chunks.h"
#include "support/expect_error.h"
#include "support/files.h"
#include "support/hostile.h"

namespace sotto::images {
namespace {

using test::Bytes;
using test::npy;
using test::refuses;

const plan::Interface kColour{3, 2, 4, {0.5, 0.25, 0}, {0.5, 1, 2}, {}, 10};
const plan::Interface kGrey{1, 2, 4, {0}, {1}, {}, 10};
const plan::Interface kFlat{16, 1, 1, std::vector<double>(16, 0.5), std::vector<double>(16, 2), {}, 10};

Bytes counting(std::size_t n) {
  Bytes b(n);
  for (std::size_t i = 0; i < n; ++i) b[i] = static_cast<unsigned char>(3 * i);
  return b;
}

template <class T>
Bytes bytes_of(const std::vector<T>& values, bool swapped = false) {
  Bytes out(values.size() * sizeof(T));
  std::memcpy(out.data(), values.data(), out.size());
  if (swapped)
    for (std::size_t k = 0; k < values.size(); ++k)
      std::reverse(out.begin() + static_cast<std::ptrdiff_t>(k * sizeof(T)),
                   out.begin() + static_cast<std::ptrdiff_t>((k + 1) * sizeof(T)));
  return out;
}

class Arrays : public ::testing::Test {
 protected:
  std::vector<Image> load(const Bytes& file, const plan::Interface& io, LoadOptions options = {},
                          const std::string& name = "a.npy") {
    test::write_bytes(folder / name, file);
    options.note = [this](const std::string& note) { notes.push_back(note); };
    return load_images({(folder / name).string()}, io, 0, {}, options);
  }
  std::vector<Image> floats(const std::vector<float>& values, const std::string& shape, const plan::Interface& io) {
    return load(npy("<f4", shape, bytes_of(values)), io);
  }

  test::TempFolder folder;
  std::vector<std::string> notes;
};

TEST_F(Arrays, BytesInTheOrderOfTheNetwork) {
  const Bytes data = counting(48);
  const auto images = load(npy("|u1", "(2, 3, 2, 4)", data), kColour);
  ASSERT_EQ(images.size(), 2u);
  EXPECT_EQ(images[1].pixels, Bytes(data.begin() + 24, data.end()));
  EXPECT_EQ(images[1].name, "1");
  EXPECT_EQ(images[1].label, -1);
  EXPECT_TRUE(images[1].values.empty());
  EXPECT_EQ(preprocess(images[1], kColour)[0], (data[24] / 255.0 - 0.5) / 0.5);
}

TEST_F(Arrays, ChannelsLastOnlyWhenDeclared) {
  const Bytes data = counting(24), file = npy("|u1", "(1, 2, 4, 3)", data);
  EXPECT_TRUE(refuses([&] { load(file, kColour); }, {"1x2x4x3", "3x2x4", "say so"}));
  const auto images = load(file, kColour, {.layout = ArrayLayout::nhwc});
  for (std::size_t c = 0; c < 3; ++c)
    for (std::size_t p = 0; p < 8; ++p) EXPECT_EQ(images.at(0).pixels[c * 8 + p], data[p * 3 + c]);
  EXPECT_TRUE(refuses([&] { load(npy("|u1", "(1, 3, 2, 4)", data), kColour, {.layout = ArrayLayout::nhwc}); },
                      {"1x3x2x4", "image, row, column, channel"}));
}

TEST_F(Arrays, OneChannelNeedsNoAxis) {
  const Bytes data = counting(16);
  EXPECT_EQ(load(npy("|u1", "(2, 2, 4)", data), kGrey).at(1).pixels, Bytes(data.begin() + 8, data.end()));
  EXPECT_EQ(load(npy("|u1", "(2, 8)", data), kGrey).at(1).pixels, Bytes(data.begin() + 8, data.end()));
  EXPECT_TRUE(refuses([&] { load(npy("|u1", "(2, 2, 4)", data), kColour); }, {"2x2x4", "3x2x4"}));
}

TEST_F(Arrays, RowsOfSeveralChannelsNeedAnOrder) {
  const Bytes data = counting(24), file = npy("|u1", "(1, 24)", data);
  EXPECT_TRUE(refuses([&] { load(file, kColour); }, {"1x24", "3x2x4", "order a row"}));
  EXPECT_EQ(load(file, kColour, {.layout = ArrayLayout::nchw}).at(0).pixels, data);
  EXPECT_EQ(load(file, kColour, {.layout = ArrayLayout::nhwc}).at(0).pixels[8], data[1]);
}

TEST_F(Arrays, FlatNetworksTakeAsManyValues) {
  const Bytes data = counting(32);
  for (const char* shape : {"(2, 16)", "(2, 4, 4)", "(2, 1, 4, 4)", "(2, 1, 2, 8)", "(2, 16, 1, 1)"}) {
    const auto images = load(npy("|u1", shape, data), kFlat);
    EXPECT_EQ(images.at(1).pixels, Bytes(data.begin() + 16, data.end())) << shape;
    EXPECT_EQ(preprocess(images[1], kFlat)[15], (data[31] / 255.0 - 0.5) / 2) << shape;
  }
  EXPECT_EQ(load(npy("|u1", "(2, 16)", data), kFlat).at(0).width, 4) << "a square picture, to be shown";
  EXPECT_TRUE(refuses([&] { load(npy("|u1", "(2, 15)", data), kFlat); }, {"2x15", "16x1x1"}));
  const plan::Interface colours{12, 1, 1, std::vector<double>(12), std::vector<double>(12, 1), {}, 10};
  EXPECT_TRUE(
      refuses([&] { load(npy("|u1", "(1, 2, 2, 3)", counting(12)), colours); }, {"row, column, channel say so"}));
  EXPECT_EQ(load(npy("|u1", "(1, 2, 2, 3)", counting(12)), colours, {.layout = ArrayLayout::nhwc}).at(0).pixels[1],
            counting(12)[3]);
}

TEST_F(Arrays, FloatsAreTakenAsTheyAre) {
  std::vector<float> values;
  for (int k = 0; k < 24; ++k) values.push_back(static_cast<float>(k) / 7 - 1);
  const auto images = floats(values, "(1, 3, 2, 4)", kColour);
  EXPECT_EQ(images.at(0).values, values);
  EXPECT_EQ(preprocess(images[0], kColour), std::vector<double>(values.begin(), values.end()));
  // Shown as the pixels that they stand for.
  EXPECT_EQ(images[0].pixels.at(7), static_cast<int>(std::lround(255 * (0 * 0.5 + 0.5))));
  EXPECT_TRUE(notes.empty());
}

TEST_F(Arrays, EveryFloatType) {
  const std::vector<double> values = {0, -1.5, 0.25, 1024, 1.0 / 1024, -0.0, 65504, 6.103515625e-05};
  std::vector<float> single(values.begin(), values.end());
  const std::vector<std::uint16_t> half = {0, 0xbe00, 0x3400, 0x6400, 0x1400, 0x8000, 0x7bff, 0x0400};
  for (const bool swapped : {false, true}) {
    const std::string order = swapped ? ">" : "<";
    for (const auto& [type, data] :
         {std::pair("f8", bytes_of(values, swapped)), std::pair("f4", bytes_of(single, swapped)),
          std::pair("f2", bytes_of(half, swapped))})
      EXPECT_EQ(load(npy(order + type, "(1, 2, 4)", data), kGrey).at(0).values, single) << order << type;
  }
}

TEST_F(Arrays, ValuesThatAreNotFinite) {
  for (const double bad : {std::nan(""), 1.0 / 0.0, -1.0 / 0.0, 1e300}) {
    std::vector<double> values(16);
    values[11] = bad;
    EXPECT_TRUE(refuses([&] { load(npy("<f8", "(2, 2, 4)", bytes_of(values)), kGrey); }, {"image 1", "not finite"}));
  }
  EXPECT_TRUE(refuses([&] { load(npy("<f2", "(1, 2, 4)", bytes_of(std::vector<std::uint16_t>(8, 0x7c00))), kGrey); }));
}

TEST_F(Arrays, FloatsThatLookLikePixelsAreSaidSo) {
  std::vector<float> pixels, parts;
  for (int k = 0; k < 24; ++k) {
    pixels.push_back(static_cast<float>(10 * k));
    parts.push_back(static_cast<float>(10 * k) / 255);
  }
  floats(pixels, "(1, 3, 2, 4)", kColour);
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_NE(notes[0].find("0 to 255"), std::string::npos) << notes[0];
  notes.clear();
  std::vector<float> resized = pixels;
  for (float& v : resized) v += 0.25F;
  floats(resized, "(1, 3, 2, 4)", kColour);
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_NE(notes[0].find("0 to 255"), std::string::npos) << notes[0];
  notes.clear();
  floats(parts, "(1, 3, 2, 4)", kColour);
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_NE(notes[0].find("divided by 255"), std::string::npos) << notes[0];
  notes.clear();
  // What a network without preprocessing, or with one to 0..255, takes.
  plan::Interface plain = kColour;
  plain.mean = {0, 0, 0};
  plain.std = {1, 1, 1};
  floats(parts, "(1, 3, 2, 4)", plain);
  plain.std = std::vector<double>(3, 1.0 / 255);
  floats(pixels, "(1, 3, 2, 4)", plain);
  EXPECT_TRUE(notes.empty()) << notes[0];
  floats(parts, "(1, 3, 2, 4)", plain);
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_NE(notes[0].find("takes pixels of 0 to 255"), std::string::npos) << notes[0];
}

TEST_F(Arrays, TypesThatAreNotImages) {
  const auto refused = [&](const std::string& type, std::initializer_list<std::string_view> words) {
    EXPECT_TRUE(refuses([&] { load(npy(type, "(1, 2, 4)", Bytes(64)), kGrey); }, words)) << type;
  };
  refused("<i8", {"'<i8'", "uint8", "float32"});
  refused("|b1", {"'|b1'"});
  refused("<c8", {"'<c8'"});
  refused("<f16", {"'<f16'"});
  refused("<U3", {"'<U3'"});
  refused("|O", {"never run"});
  EXPECT_TRUE(refuses(
      [&] { load(npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", {}), kGrey); }, {"fields"}));
  EXPECT_TRUE(
      refuses([&] { load(npy("{'descr': '|u1', 'fortran_order': True, 'shape': (1, 2, 4), }", Bytes(8)), kGrey); },
              {"Fortran", "ascontiguousarray"}));
}

TEST_F(Arrays, NoPixelsCannotBeResized) {
  for (const char* shape : {"(2, 3, 0, 5)", "(2, 3, 5, 0)", "(2, 3, 4294967296, 4294967296)"})
    EXPECT_TRUE(refuses([&] { load(npy("|u1", shape, {}), kColour, {.fit = Fit::stretch}); }, {"a.npy"})) << shape;
}

TEST_F(Arrays, HeadersThatLie) {
  for (const char* shape :
       {"(99999999999, 2, 4)", "(18446744073709551616, 2, 4)", "(4294967296, 4294967296, 4294967296)", "(1, 2, 4",
        "(-1, 2, 4)", "[1, 2, 4]", "(1, 1, 1, 1, 1, 1, 1, 1, 1)", "()", "(8,)"})
    EXPECT_TRUE(refuses([&] { load(npy("|u1", shape, Bytes(8)), kGrey); }, {"a.npy"})) << shape;
  EXPECT_TRUE(refuses([&] { load(npy("|u1", "(1, 2, 4)", Bytes(9)), kGrey); }, {"longer"}));
  EXPECT_TRUE(refuses([&] { load(npy("{'descr': '|u1'}", Bytes(8)), kGrey); }, {"header"}));
  Bytes later = npy("|u1", "(1, 2, 4)", Bytes(8));
  later[6] = 9;
  EXPECT_TRUE(refuses([&] { load(later, kGrey); }, {"version is 9"}));
  EXPECT_TRUE(refuses([&] { load({'t', 'e', 'x', 't'}, kGrey); }, {"not a NumPy array"}));
}

TEST_F(Arrays, ArchivesWithLabels) {
  const Bytes images = npy("|u1", "(3, 2, 4)", counting(24));
  for (const bool packed : {false, true})
    for (const char* name : {"labels", "y"})
      for (const auto& [type, data] : {std::pair("<i8", bytes_of(std::vector<std::int64_t>{7, -1, 2})),
                                       std::pair("<i4", bytes_of(std::vector<std::int32_t>{7, -1, 2})),
                                       std::pair(">i2", bytes_of(std::vector<std::int16_t>{7, -1, 2}, true))}) {
        const auto loaded =
            load(test::zip({{std::string(name) + ".npy", npy(type, "(3,)", data)}, {"pictures.npy", images}}, packed),
                 kGrey, {}, "a.npz");
        ASSERT_EQ(loaded.size(), 3u);
        EXPECT_EQ(loaded[0].label, 7);
        EXPECT_EQ(loaded[1].label, -1);
        EXPECT_EQ(loaded[2].label, 2);
        EXPECT_EQ(loaded[2].pixels[0], 3 * 16);
      }
  EXPECT_EQ(load_images({(folder / "a.npz").string()}, kGrey, 2, 1).at(0).label, 2);
}

TEST_F(Arrays, ArchivesThatCannotBeUnderstood) {
  const Bytes images = npy("|u1", "(3, 2, 4)", counting(24)), labels = npy("|u1", "(2,)", {1, 2});
  const auto refused = [&](const Bytes& file, std::initializer_list<std::string_view> words) {
    EXPECT_TRUE(refuses([&] { load(file, kGrey, {}, "a.npz"); }, words));
  };
  refused(test::zip({{"labels.npy", labels}, {"x.npy", images}}, true), {"3 images and 2 labels"});
  refused(test::zip({{"x_test.npy", images}, {"x_train.npy", images}}, true), {"several arrays"});
  refused(test::zip({{"labels.npy", labels}}, true), {"no array of images"});
  refused(test::zip({{"x.npy", images}, {"images.npy", images}}, true), {"both 'x' and 'images'"});
  refused(test::zip({{"images.npy", images}, {"images.npy", images}}, true), {"'images' twice"});
  refused(test::zip({{"x.npy", images}, {"y.npy", labels}, {"y.npy", labels}}, true), {"'y' twice"});
  refused(test::zip({{"x.npy", images}, {"y.npy", npy("<f4", "(3,)", Bytes(12))}}, true), {"labels", "<f4"});
  refused(test::zip({{"x.npy", images}, {"y.npy", npy("<i2", "(3,)", {0, 0, 0xfe, 0xff, 0, 0})}}, true), {"negative"});
  for (const std::string type : {"|b1", "<U3"})
    refused(test::zip({{"x.npy", images}, {"y.npy", npy(type, "(3,)", Bytes(36))}}, true),
            {"labels", type, "one integer per image"});
  refused(test::zip(
              {{"x.npy", images}, {"y.npy", npy("<i8", "(3,)", bytes_of(std::vector<std::int64_t>{0, 1, 1LL << 32}))}},
              true),
          {"label", "4294967296"});
  refused({}, {"not a ZIP"});
  Bytes broken = test::zip({{"x.npy", images}}, false);
  broken[30 + 5 + images.size() - 1] ^= 1;  // the last pixel, behind header and name
  refused(broken, {"checksum"});
}

TEST_F(Arrays, LabelsBeyondTheNetworkAreNoticed) {
  const Bytes file =
      test::zip({{"x.npy", npy("|u1", "(1, 2, 4)", Bytes(8))}, {"y.npy", npy("|u1", "(1,)", {10})}}, false);
  EXPECT_EQ(load(file, kGrey, {}, "a.npz").at(0).label, 10);
  EXPECT_TRUE(refuses([&] { load(file, kGrey, {.labels = TrueLabels::needed}, "a.npz"); }, {"label 10", "10 outputs"}));
  EXPECT_TRUE(refuses([&] { load(file, kGrey, {.labels = TrueLabels::checked}, "a.npz"); },
                      {"label 10", "Without true labels"}));
  EXPECT_EQ(load(file, kGrey, {.labels = TrueLabels::dropped}, "a.npz").at(0).label, -1);
  EXPECT_EQ(notes.size(), 1u);
}

TEST_F(Arrays, DamagedFiles) {
  const auto whole = [](const std::vector<Image>& images) { ASSERT_LE(images.size(), 48u); };
  const auto read = [&](const char* name) {
    return [this, name] { return load_images({(folder / name).string()}, kGrey, 0, {}); };
  };
  const Bytes images = npy("<f4", "(3, 2, 4)", bytes_of(std::vector<float>(24, 0.5F)));
  test::expect_refused_or_accepted(folder / "a.npy", images, read("a.npy"), whole);
  for (const bool packed : {false, true})
    test::expect_refused_or_accepted(folder / "a.npz",
                                     test::zip({{"x.npy", images}, {"y.npy", npy("|u1", "(3,)", {1, 2, 3})}}, packed),
                                     read("a.npz"), whole);
}

}  // namespace
}  // namespace sotto::images
