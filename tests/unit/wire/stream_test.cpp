// Sections in pieces: in order, whole, and never believed before the checksum.
#include <gtest/gtest.h>

#include <random>

#include "support/expect_error.h"
#include "support/files.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace sotto::wire {
namespace {

using test::Bytes;
using Pieces = std::vector<std::size_t>;

class Stream : public ::testing::Test {
 protected:
  Stream() {
    std::mt19937_64 rng(1);
    FileWriter writer(path, Kind::plan, nlohmann::json::object(), {1000, 0, 3});
    for (std::size_t n : {1000, 0, 3}) {
      sections.push_back(test::random_bytes(n, rng));
      writer.write(sections.back());
    }
    writer.commit();
  }

  // The pieces of a section, checked to come in order and in their sizes, joined.
  static Bytes joined(const FileReader& file, std::size_t section, const Pieces& pieces) {
    Bytes all;
    std::size_t next = 0;
    file.stream(section, pieces, [&](std::size_t k, std::span<const unsigned char> piece) {
      EXPECT_EQ(k, next++);
      EXPECT_EQ(piece.size(), pieces[k]);
      all.insert(all.end(), piece.begin(), piece.end());
    });
    EXPECT_EQ(next, pieces.size());
    return all;
  }
  // Flips a bit, counted from the end of the file.
  void damage(std::size_t from_end) const {
    Bytes bytes = test::read_bytes(path);
    bytes[bytes.size() - from_end] ^= 4;
    test::write_bytes(path, bytes);
  }

  std::vector<Bytes> sections;
  test::TempFolder folder;
  const std::filesystem::path path = folder / "file";
};

TEST_F(Stream, PiecesComeInOrder) {
  const FileReader file(path, Kind::plan);
  for (const Pieces& pieces : {Pieces{1000}, Pieces{32, 900, 68}, Pieces(1000, 1), Pieces{0, 999, 0, 0, 1, 0}})
    EXPECT_EQ(joined(file, 0, pieces), sections[0]);
  EXPECT_EQ(joined(file, 1, {}), Bytes{});
  EXPECT_EQ(joined(file, 1, {0, 0}), Bytes{});
  EXPECT_EQ(joined(file, 2, {1, 2}), sections[2]);
}

TEST_F(Stream, SizesMustAddUp) {
  const FileReader file(path, Kind::plan);
  const auto use = [](std::size_t, std::span<const unsigned char>) { FAIL() << "nothing is read"; };
  for (const Pieces& pieces : {Pieces{}, Pieces{999}, Pieces{1001}, Pieces{500, 499}, Pieces{1000, 3}})
    EXPECT_TRUE(test::fails_with([&] { file.stream(0, pieces, use); }, ErrorCode::internal));
  EXPECT_TRUE(test::fails_with([&] { file.stream(1, Pieces{1}, use); }, ErrorCode::internal));
  EXPECT_TRUE(test::fails_with([&] { file.stream(3, Pieces{}, use); }, ErrorCode::internal));
}

TEST_F(Stream, DamageAnywhereInASectionIsFound) {
  // Behind section 0: two other checksums, the section of three bytes, its own checksum.
  constexpr std::size_t kAfter = 2 * kChecksumBytes + 3;
  for (std::size_t at : {kAfter + 1, kAfter + kChecksumBytes, kAfter + kChecksumBytes + 1,
                         kAfter + kChecksumBytes + 500, kAfter + kChecksumBytes + 1000}) {
    damage(at);
    const FileReader file(path, Kind::plan);
    EXPECT_TRUE(test::refuses(
        [&] {
          (void)joined(file, 0, {100, 900});
        },
        {path.string(), "part 0", "corrupted"}))
        << at;
    EXPECT_EQ(joined(file, 2, {3}), sections[2]) << "the others are fine";
    EXPECT_TRUE(test::refuses([&] { file.verify(); }, {path.string(), "part 0"})) << at;
    damage(at);
    EXPECT_NO_THROW(FileReader(path, Kind::plan).verify());
  }
}

TEST_F(Stream, EmptySectionsHaveChecksumsToo) {
  damage(kChecksumBytes + 3 + 1);
  const FileReader file(path, Kind::plan);
  EXPECT_TRUE(test::refuses([&] { (void)joined(file, 1, {}); }, {"part 1"}));
  EXPECT_TRUE(test::refuses([&] { file.verify(); }, {"part 1"}));
}

TEST_F(Stream, ErrorsOfTheUserEndIt) {
  const FileReader file(path, Kind::plan);
  std::size_t calls = 0;
  EXPECT_TRUE(test::fails_with(
      [&] {
        file.stream(0, Pieces{500, 500}, [&](std::size_t, std::span<const unsigned char>) {
          ++calls;
          throw Error(ErrorCode::interrupted, "stop");
        });
      },
      ErrorCode::interrupted));
  EXPECT_EQ(calls, 1u);
}

TEST_F(Stream, VerifyReadsSectionsOfAnySizeAndNumber) {
  // More than the piece that is read at a time, exactly that, and none.
  constexpr std::uint64_t kMiB = 1 << 20;
  const std::vector<std::uint64_t> sizes = {2 * kMiB + 1, kMiB, 0, kMiB - 1, 7};
  const std::filesystem::path large = folder / "large";
  std::mt19937_64 rng(3);
  {
    FileWriter writer(large, Kind::plan, nlohmann::json::object(), sizes);
    for (std::uint64_t n : sizes) writer.write(test::random_bytes(n, rng));
    writer.commit();
  }
  EXPECT_NO_THROW(FileReader(large, Kind::plan).verify());
  const auto stop = [] { throw Error(ErrorCode::interrupted, "stop"); };
  EXPECT_TRUE(test::fails_with([&] { FileReader(large, Kind::plan).verify(stop); }, ErrorCode::interrupted));
  const Bytes good = test::read_bytes(large);
  std::size_t end = good.size();
  for (std::size_t i = sizes.size(); i-- > 0; end -= sizes[i] + kChecksumBytes) {
    Bytes bytes = good;
    bytes[end - kChecksumBytes - (sizes[i] > 0 ? 1 : 0)] ^= 1;  // the last byte, or the checksum
    test::write_bytes(large, bytes);
    EXPECT_TRUE(test::refuses([&] { FileReader(large, Kind::plan).verify(); }, {"part " + std::to_string(i)})) << i;
  }
}

}  // namespace
}  // namespace sotto::wire
