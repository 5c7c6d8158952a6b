// Damage of every kind is found, when a file is opened or when the damaged part is read, and ends in Error{bad_input}.
#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "support/raw_container.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace sotto::wire {
namespace {

using test::Bytes;
using test::refuses;

class Damage : public ::testing::Test {
 protected:
  Damage() {
    FileWriter writer(path, Kind::eval_key, {{"name", "x"}}, {5, 0, 3, 3});
    const Bytes data = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    writer.write(data);
    writer.commit();
    original = test::read_bytes(path);
  }

  // Opens and reads everything.
  [[nodiscard]] static std::vector<Bytes> contents(const std::filesystem::path& p, Kind kind = Kind::eval_key) {
    const FileReader reader(p, kind);
    std::vector<Bytes> sections;
    for (std::size_t i = 0; i < reader.sections(); ++i) {
      sections.emplace_back(reader.section_bytes(i));
      reader.read(i, sections.back());
    }
    return sections;
  }
  ::testing::AssertionResult found(const Bytes& damaged) {
    test::write_bytes(path, damaged);
    return refuses([&] { return contents(path); }, {path.string()});
  }

  test::TempFolder folder;
  std::filesystem::path path = folder / "eval.key";
  Bytes original;
};

TEST_F(Damage, TheUndamagedFileIsFine) {
  EXPECT_EQ(contents(path), (std::vector<Bytes>{{1, 2, 3, 4, 5}, {}, {6, 7, 8}, {9, 10, 11}}));
}

TEST_F(Damage, EveryFlippedBit) {
  for (std::size_t at = 0; at < original.size(); ++at) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      Bytes b = original;
      b[at] ^= static_cast<unsigned char>(1u << bit);
      ASSERT_TRUE(found(b)) << "byte " << at << " bit " << bit;
    }
    Bytes b = original;
    b[at] ^= 0xff;
    ASSERT_TRUE(found(b)) << "byte " << at;
  }
}

TEST_F(Damage, EveryTruncation) {
  for (std::size_t length = 0; length < original.size(); ++length)
    ASSERT_TRUE(found(Bytes(original.begin(), original.begin() + static_cast<std::ptrdiff_t>(length)))) << length;
}

TEST_F(Damage, EveryMissingByte) {
  for (std::size_t at = 0; at < original.size(); ++at) {
    Bytes b = original;
    b.erase(b.begin() + static_cast<std::ptrdiff_t>(at));
    ASSERT_TRUE(found(b)) << at;
  }
}

TEST_F(Damage, AppendedBytes) {
  for (std::size_t extra : {1, 31, 32, 33, 64, 5000}) {
    Bytes b = original;
    b.resize(b.size() + extra);
    EXPECT_TRUE(found(b)) << extra;
  }
}

TEST_F(Damage, SectionsThatChangedPlaces) {
  // The last two sections have the same size: 3 bytes and a checksum of 32.
  Bytes b = original;
  std::swap_ranges(b.end() - 35, b.end(), b.end() - 70);
  EXPECT_TRUE(found(b));
}

TEST_F(Damage, SectionsOfAnotherFile) {
  const auto other = folder / "other";
  {
    FileWriter writer(other, Kind::eval_key, {{"name", "y"}}, {5, 0, 3, 3});
    writer.write(Bytes{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
    writer.commit();
  }
  const Bytes from = test::read_bytes(other);
  ASSERT_EQ(from.size(), original.size());
  Bytes b = original;
  std::copy(from.end() - 35, from.end(), b.end() - 35);
  EXPECT_TRUE(found(b)) << "same contents, same place, but another header";
}

TEST_F(Damage, SectionsOtherThanTheDamagedOneCanBeRead) {
  Bytes b = original;
  b.back() ^= 1;
  test::write_bytes(path, b);
  const FileReader reader(path, Kind::eval_key);
  Bytes first(5), last(3);
  EXPECT_NO_THROW(reader.read(0, first));
  EXPECT_TRUE(refuses([&] { reader.read(3, last); }, {"part 3"}));
}

TEST_F(Damage, RandomFiles) {
  std::mt19937_64 rng(20);
  for (int i = 0; i < 1500; ++i) {
    Bytes b = test::random_bytes(rng() % 300, rng);
    // Most get as far as the header's length.
    if (i % 4 != 0) std::copy_n(original.begin(), std::min<std::size_t>(b.size(), 16), b.begin());
    if (i % 4 == 1 && b.size() > 24) std::fill(b.begin() + 17, b.begin() + 24, 0);
    ASSERT_TRUE(found(b)) << i;
  }
}

TEST_F(Damage, RandomEdits) {
  std::mt19937_64 rng(21);
  for (int i = 0; i < 2000; ++i) {
    const Bytes b = test::mutate(original, rng);
    if (b == original) continue;
    ASSERT_TRUE(found(b)) << i;
  }
}

TEST_F(Damage, RandomHeadersWithRightChecksums) {
  std::mt19937_64 rng(22);
  const std::string text = R"({"name":"x","sections":[5,0,3]})";
  for (int i = 0; i < 2000; ++i) {
    const Bytes header = test::mutate({text.begin(), text.end()}, rng);
    test::write_bytes(path, test::raw_container(Kind::eval_key, {header.begin(), header.end()}, Bytes(104)));
    try {
      (void)contents(path);  // an edit may leave a header of no sections, or of fewer
    } catch (const Error& e) {
      ASSERT_EQ(e.code(), ErrorCode::bad_input) << i << ": " << e.what();
    }
  }
}

}  // namespace
}  // namespace sotto::wire
