// The same container in memory and in streams.
#include <gtest/gtest.h>

#include <random>
#include <sstream>

#include "support/expect_error.h"
#include "support/files.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace sotto::wire {
namespace {

const Bytes kSection = [] {
  std::mt19937_64 rng(1);
  return test::random_bytes(70000, rng);
}();

void write(const Sink& sink, bool whole = true) {
  FileWriter writer(sink, Kind::input, {{"name", "x"}}, {kSection.size(), 0}, Access::everyone, {.sections = 1});
  writer.write(kSection);
  if (whole) writer.commit();
}

void expect_contents(const Source& source) {
  const FileReader reader(source, Kind::input);
  EXPECT_EQ(reader.header()["name"], "x");
  Bytes section(kSection.size());
  reader.read(0, section);
  EXPECT_EQ(section, kSection);
  reader.verify();
}

TEST(Memory, HoldsWhatAFileHolds) {
  const test::TempFolder folder;
  write(folder / "file");
  Bytes bytes = {1, 2, 3};
  write(Sink(bytes));
  EXPECT_EQ(bytes, test::read_bytes(folder / "file"));
  expect_contents(folder / "file");
  expect_contents(Source(bytes));
}

TEST(Memory, StaysAsItWasWithoutACommit) {
  Bytes bytes = {1, 2, 3};
  write(Sink(bytes), false);
  EXPECT_EQ(bytes, (Bytes{1, 2, 3}));
}

TEST(Memory, DamageIsFoundAndNamed) {
  Bytes bytes;
  write(Sink(bytes));
  for (const std::size_t at : {std::size_t{0}, std::size_t{9}, std::size_t{70}, bytes.size() / 2, bytes.size() - 1}) {
    Bytes damaged = bytes;
    damaged[at] ^= 1;
    EXPECT_TRUE(test::refuses([&] { FileReader(Source(damaged, "my bytes"), Kind::input).verify(); }, {"my bytes"}))
        << at;
  }
  for (const std::size_t length : {std::size_t{0}, std::size_t{10}, bytes.size() - 1}) {
    Bytes cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length));
    EXPECT_TRUE(test::refuses([&] { FileReader(Source(cut), Kind::input).verify(); }, {"the bytes given"})) << length;
  }
}

TEST(Streams, CarryWhatAFileHolds) {
  std::stringstream stream;
  write(Sink(stream));
  expect_contents(Source::from(stream));
}

TEST(Streams, ThatTakeNoMore) {
  std::stringstream stream;
  stream.setstate(std::ios::badbit);
  EXPECT_TRUE(test::fails_with([&] { write(Sink(stream)); }, ErrorCode::no_resources, {"stream"}));
}

}  // namespace
}  // namespace sotto::wire
