// What a writer writes a reader reads, and nothing else is taken for a Sotto file.
#include <gtest/gtest.h>

#include <cstring>

#include "support/expect_error.h"
#include "support/raw_container.h"
#include "wire/fields.h"
#include "wire/json_text.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace sotto::wire {
namespace {

using nlohmann::json;
using test::Bytes;
using test::raw_container;
using test::refuses;

class Container : public ::testing::Test {
 protected:
  std::filesystem::path file(const Bytes& bytes) {
    test::write_bytes(path, bytes);
    return path;
  }
  ::testing::AssertionResult open_refuses(const Bytes& bytes, std::initializer_list<std::string_view> words = {}) {
    file(bytes);
    return refuses([&] { FileReader(path, Kind::plan); }, words);
  }

  test::TempFolder folder;
  std::filesystem::path path = folder / "some.file";
};

TEST_F(Container, RoundTripOfHeaderAndSections) {
  std::mt19937_64 rng(1);
  const json header = {{"name", "caf\u00e9 \"x\""}, {"number", -7}, {"nested", {{"list", {1, 2.5, nullptr}}}}};
  const std::vector<std::uint64_t> sizes = {5, 0, 70000, 1, 0};
  const Bytes data = test::random_bytes(70006, rng);
  {
    FileWriter writer(path, Kind::input, header, sizes);
    // Pieces that do not meet the sections' borders.
    for (std::size_t at = 0; at < data.size();) {
      const std::size_t n = std::min<std::size_t>(data.size() - at, rng() % 9000);
      writer.write({data.data() + at, n});
      at += n;
    }
    writer.commit();
  }
  const FileReader reader(path, Kind::input);
  json expected = header;
  expected["sections"] = sizes;
  EXPECT_EQ(reader.header(), expected);
  EXPECT_EQ(reader.name(), path.string());
  EXPECT_EQ(reader.file_bytes(), std::filesystem::file_size(path));
  ASSERT_EQ(reader.sections(), sizes.size());
  std::size_t at = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    ASSERT_EQ(reader.section_bytes(i), sizes[i]);
    Bytes read(sizes[i]);
    reader.read(i, read);
    EXPECT_TRUE(std::equal(read.begin(), read.end(), data.begin() + static_cast<std::ptrdiff_t>(at))) << i;
    at += sizes[i];
  }
  EXPECT_EQ(kind_of(path), Kind::input);
}

TEST_F(Container, LayoutIsTheDocumentedOne) {
  // Other programs read these files: the bytes are part of the interface.
  FileWriter(path, Kind::client, {{"a", 1}}, {}).commit();
  EXPECT_EQ(test::read_bytes(path), raw_container(kVersion, 2, R"({"a":1,"sections":[]})", 21));
}

TEST_F(Container, EveryKindIsReadAsItselfOnly) {
  for (std::uint32_t written = 1; written <= 6; ++written) {
    FileWriter(path, static_cast<Kind>(written), json::object(), {}, Access::secret_key).commit();
    EXPECT_EQ(kind_of(path), static_cast<Kind>(written));
    for (std::uint32_t wanted = 1; wanted <= 6; ++wanted) {
      const auto open = [&] { FileReader(path, static_cast<Kind>(wanted)); };
      if (wanted == written)
        EXPECT_NO_THROW(open());
      else
        EXPECT_TRUE(
            refuses(open, {path.string(), name_of(static_cast<Kind>(written)), name_of(static_cast<Kind>(wanted))}));
    }
  }
}

TEST_F(Container, AnotherVersionIsSaidSo) {
  for (std::uint32_t version : {0u, 1u, 257u, 0x01000001u, 0xffffffffu}) {
    const Bytes right = raw_container(kVersion, 1, R"({"sections":[]})", 15);
    Bytes bumped = right;
    std::memcpy(bumped.data() + 8, &version, 4);
    EXPECT_TRUE(open_refuses(bumped, {"version", std::to_string(version)})) << "checksum as it was";
    EXPECT_TRUE(
        open_refuses(raw_container(version, 1, R"({"sections":[]})", 15), {"version", std::to_string(version)}));
  }
}

TEST_F(Container, UnknownKind) {
  EXPECT_TRUE(open_refuses(raw_container(kVersion, 0, R"({"sections":[]})", 15), {"unknown"}));
  EXPECT_EQ(kind_of(path), std::nullopt);
  EXPECT_TRUE(open_refuses(raw_container(kVersion, 99, R"({"sections":[]})", 15), {"unknown"}));
  EXPECT_EQ(kind_of(path), std::nullopt);
}

TEST_F(Container, HugeHeaderLengthsAreNotBelieved) {
  for (std::uint64_t length :
       {std::uint64_t{16}, std::uint64_t{100}, std::uint64_t{64} << 20, (std::uint64_t{64} << 20) + 1,
        std::uint64_t{1} << 40, std::uint64_t{1} << 63, ~std::uint64_t{0}, ~std::uint64_t{0} - kPreambleBytes + 1})
    EXPECT_TRUE(open_refuses(raw_container(kVersion, 1, R"({"sections":[]})", length), {"truncated"})) << length;
}

TEST_F(Container, HeadersThatMakeNoSense) {
  for (const char* text :
       {"", "{", "[]", "null", "7", "\"text\"", "{}", R"({"sections":7})", R"({"sections":{}})", R"({"sections":[-1]})",
        R"({"sections":[0.5]})", R"({"sections":["32"]})", R"({"sections":[null]})", R"({"sections":[[]]})",
        R"({"sections":[]} x)", "{\"sections\":[],\"a\":\"\xff\"}", R"({"sections":[1e999]})",
        R"({"sections":[18446744073709551616]})"})
    EXPECT_TRUE(open_refuses(raw_container(Kind::plan, text), {path.string()})) << text;
  std::string deep = R"({"sections":[],"a":)" + std::string(200000, '[');
  EXPECT_TRUE(open_refuses(raw_container(Kind::plan, deep)));
  deep += std::string(200000, ']') + "}";
  EXPECT_TRUE(open_refuses(raw_container(Kind::plan, deep))) << "nothing in a file lies so deep";
}

// A header that takes far more memory than room in the file is not read into memory.
TEST_F(Container, HeadersThatWouldTakeTooMuchMemory) {
  for (const Kind kind : {Kind::secret_key, Kind::eval_key, Kind::input, Kind::output, Kind::public_key}) {
    const JsonLimits limits = header_limits(kind);
    const auto open = [&](const std::string& filler, std::size_t bytes) {
      std::string text = R"({"sections":[],"a":[)";
      while (text.size() < bytes) text += filler;
      file(raw_container(kind, text + "0]}"));
      FileReader(path, kind);
    };
    EXPECT_NO_THROW(open("1,", 40));
    EXPECT_TRUE(refuses([&] { open("[],", 3 * limits.containers + 40); }, {path.string(), "not valid"}));
    EXPECT_TRUE(refuses([&] { open("\"\",", 3 * limits.containers + 40); }, {path.string(), "not valid"}));
    EXPECT_TRUE(refuses([&] { open("1,", 2 * limits.values + 40); }, {path.string(), "not valid"}));
    EXPECT_TRUE(refuses([&] { open("  ", limits.bytes); }, {path.string(), "truncated"}));
  }
}

TEST_F(Container, SectionsBeyondTheFile) {
  const Bytes tail(64, 0);
  for (const char* text :
       {R"({"sections":[33]})", R"({"sections":[18446744073709551615]})", R"({"sections":[18446744073709551584]})",
        R"({"sections":[0,18446744073709551584]})", R"({"sections":[18446744073709551584,18446744073709551584]})",
        R"({"sections":[0,0,0]})", R"({"sections":[9223372036854775808,9223372036854775808]})"})
    EXPECT_TRUE(open_refuses(raw_container(Kind::plan, text, tail), {"truncated"})) << text;
  for (const char* text : {R"({"sections":[]})", R"({"sections":[31]})", R"({"sections":[0]})"})
    EXPECT_TRUE(open_refuses(raw_container(Kind::plan, text, tail), {"longer"})) << text;
}

TEST_F(Container, ThingsThatAreNoFiles) {
  EXPECT_TRUE(refuses([&] { FileReader(folder / "nothing", Kind::plan); }, {"nothing"}));
  EXPECT_TRUE(refuses([&] { FileReader(folder.path(), Kind::plan); }, {folder.path().string()}));
  EXPECT_TRUE(open_refuses({}, {"not a Sotto plan file"}));
  EXPECT_TRUE(open_refuses(Bytes(1000, 'x'), {"not a Sotto plan file"}));
  EXPECT_EQ(kind_of(path), std::nullopt);
  EXPECT_EQ(kind_of(folder / "nothing"), std::nullopt);
}

TEST_F(Container, DecodeNamesTheFileOnce) {
  FileWriter(path, Kind::plan, {{"a", "text"}}, {}).commit();
  const FileReader reader(path, Kind::plan);
  EXPECT_TRUE(refuses([&] { return reader.decode([](const json& h) { return integer(h, "a", 0, 9); }); },
                      {path.string(), "'a'"}));
  try {
    reader.decode([&](const json&) { reader.fail("reason"); });
    FAIL();
  } catch (const Error& e) {
    const std::string message = e.what();
    EXPECT_EQ(message.find(path.string()), message.rfind(path.string())) << message;
  }
  EXPECT_TRUE(test::fails_with([&] { reader.decode([](const json&) { throw Error(ErrorCode::wrong_key, "other"); }); },
                               ErrorCode::wrong_key));
}

TEST_F(Container, TextThatIsNotUtf8) {
  // File names and names in ONNX models may hold any bytes; JSON may not.
  EXPECT_TRUE(refuses([&] { FileWriter(path, Kind::plan, {{"name", "caf\xe9"}}, {}); }));
  EXPECT_TRUE(folder.names().empty());
}

TEST_F(Container, WriterHoldsToWhatItAnnounced) {
  const Bytes data(10, 1);
  {
    FileWriter writer(path, Kind::plan, json::object(), {4, 4});
    writer.write({data.data(), 6});
    EXPECT_TRUE(test::fails_with([&] { writer.commit(); }, ErrorCode::internal)) << "too little";
  }
  {
    FileWriter writer(path, Kind::plan, json::object(), {4, 4});
    EXPECT_TRUE(test::fails_with([&] { writer.write(data); }, ErrorCode::internal)) << "too much";
  }
  EXPECT_TRUE(folder.names().empty());
}

}  // namespace
}  // namespace sotto::wire
