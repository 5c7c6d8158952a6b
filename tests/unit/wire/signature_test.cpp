// Signed files: what is signed comes back with its signer, and nothing that was changed passes, whatever its checksums
// say.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <optional>

#include "support/expect_error.h"
#include "support/raw_container.h"
#include "wire/reader.h"
#include "wire/signing_key_file.h"
#include "wire/writer.h"

namespace sotto::wire {
namespace {

using test::Bytes;

const std::vector<Bytes> kSections = {{1, 2, 3, 4, 5}, {}, {6, 7, 8}, {9, 10, 11}};

class Signed : public ::testing::Test {
 protected:
  Signed() { write(path, &key); }

  static Checksum write(const Sink& sink, const signing::SigningKey* signer, Units units = {}, std::size_t parts = 4) {
    FileWriter file(sink, Kind::output, {{"name", "x"}}, {5, 0, 3, 3}, Access::everyone, units, signer);
    for (std::size_t i = 0; i < kSections.size(); ++i)
      if (i >= file.finished() && i < parts) file.write(kSections[i]);
    if (parts < 4) return {};
    file.commit();
    return file.digest();
  }
  // Opens, reads everything, and tells who signed it.
  static std::optional<signing::VerificationKey> signer_of(const Source& source) {
    const FileReader file(source, Kind::output);
    std::vector<Bytes> sections;
    for (std::size_t i = 0; i < file.sections(); ++i) {
      sections.emplace_back(file.section_bytes(i));
      file.read(i, sections.back());
    }
    EXPECT_EQ(sections, kSections);
    return file.signer();
  }
  [[nodiscard]] Bytes bytes() const { return test::read_bytes(path); }
  ::testing::AssertionResult forged_refused(const test::Contents& changed, const Bytes& signature) {
    test::Contents contents = changed;
    contents.write(path, Kind::output, signing::to_text(key.verification_key()), signature);
    return test::fails_with([&] { FileReader(path, Kind::output); }, ErrorCode::wrong_key,
                            {path.string(), "signature"});
  }

  const signing::SigningKey key = signing::SigningKey::generate(), other = signing::SigningKey::generate();
  test::TempFolder folder;
  const std::filesystem::path path = folder / "out.sotto";
};

TEST_F(Signed, ComesBackWithItsSigner) {
  EXPECT_EQ(signer_of(path), key.verification_key());
  Bytes memory;
  const Checksum digest = write(Sink(memory), &key);
  EXPECT_EQ(memory, bytes()) << "signatures are the same every time";
  EXPECT_EQ(signer_of(Source(memory)), key.verification_key());
  EXPECT_EQ(FileReader(path, Kind::output).digest(), digest);
  write(folder / "unsigned", nullptr);
  EXPECT_EQ(signer_of(folder / "unsigned"), std::nullopt);
  EXPECT_EQ(std::filesystem::file_size(path), std::filesystem::file_size(folder / "unsigned") + kSignatureBytes +
                                                  std::string_view(R"("signer":"",)").size() + 64);
}

// In a file with right checksums nothing but the signature tells.
TEST_F(Signed, ChangesWithRightChecksums) {
  const test::Contents contents(path, Kind::output);
  const Bytes all = bytes(), signature(all.end() - kSignatureBytes, all.end());
  const signing::Signature others = sign(other, FileReader(path, Kind::output).digest());
  test::Contents changed = contents;
  changed.sections[2][1] ^= 1;
  EXPECT_TRUE(forged_refused(changed, signature));
  changed = contents;
  std::swap(changed.sections[2], changed.sections[3]);
  EXPECT_TRUE(forged_refused(changed, signature)) << "parts in another order";
  changed = contents;
  changed.sections.pop_back();
  EXPECT_TRUE(forged_refused(changed, signature)) << "a part is missing";
  changed = contents;
  changed.header["name"] = "y";
  EXPECT_TRUE(forged_refused(changed, signature)) << "it says something else of itself";
  EXPECT_TRUE(forged_refused(contents, {others.begin(), others.end()})) << "signed by someone else in another's name";
  EXPECT_TRUE(forged_refused(contents, Bytes(kSignatureBytes)));
  contents.signed_by(path, Kind::output, key);
  EXPECT_EQ(signer_of(path), key.verification_key()) << "the same way to write it, and the right key";
}

TEST_F(Signed, WithoutItsSignatureOrWithAnotherOneItHasAnotherSigner) {
  const test::Contents contents(path, Kind::output);
  test::Contents(contents).write(path, Kind::output);
  EXPECT_EQ(signer_of(path), std::nullopt);
  contents.signed_by(path, Kind::output, other);
  EXPECT_EQ(signer_of(path), other.verification_key());
}

// A signature of one file is none of another, and a key that signs texts signs no files by that.
TEST_F(Signed, SignaturesBelongToOneFile) {
  const Checksum digest = FileReader(path, Kind::output).digest();
  const signing::Signature plain = key.sign(digest);
  EXPECT_TRUE(forged_refused(test::Contents(path, Kind::output), {plain.begin(), plain.end()}));
}

TEST_F(Signed, EveryFlippedBitIsFound) {
  const Bytes original = bytes();
  for (std::size_t at = 0; at < original.size(); ++at) {
    Bytes b = original;
    b[at] ^= static_cast<unsigned char>(1u << (at % 8));
    const bool in_signature = at + kSignatureBytes >= original.size();
    ASSERT_TRUE(test::fails_with([&] { signer_of(Source(b, "bytes")); },
                                 in_signature ? ErrorCode::wrong_key : ErrorCode::bad_input, {"bytes"}))
        << at;
  }
  for (std::size_t length = 0; length < original.size(); ++length)
    ASSERT_TRUE(test::refuses([&] {
      FileReader(Source(Bytes(original.begin(), original.begin() + length)), Kind::output);
    })) << length;
  Bytes longer = original;
  longer.push_back(0);
  EXPECT_TRUE(test::refuses([&] { FileReader(Source(longer), Kind::output); }));
}

// Damage of one part leaves the others, which are as they were signed.
TEST_F(Signed, DamagedDataLosesItsPartOnly) {
  Bytes b = bytes();
  b[b.size() - kSignatureBytes - kChecksumBytes - 1] ^= 1;
  const FileReader file(Source(b), Kind::output);
  EXPECT_EQ(file.signer(), key.verification_key());
  Bytes part(3);
  EXPECT_NO_THROW(file.read(2, part));
  EXPECT_TRUE(test::refuses([&] { file.read(3, part); }, {"part 3"}));
}

// What was checked is what is read: another part with a right checksum of its own does not pass later.
TEST_F(Signed, FilesThatChangeAfterwards) {
  const Bytes original = bytes();
  const FileReader file(path, Kind::output);
  test::Contents contents(path, Kind::output);
  contents.sections[3] = {12, 13, 14};
  contents.write(folder / "changed", Kind::output, signing::to_text(key.verification_key()), Bytes(kSignatureBytes));
  const Bytes changed = test::read_bytes(folder / "changed");
  ASSERT_EQ(changed.size(), original.size());
  std::fstream in_place(path, std::ios::in | std::ios::out | std::ios::binary);
  in_place.write(reinterpret_cast<const char*>(changed.data()), static_cast<std::streamsize>(changed.size()));
  in_place.close();
  Bytes part(3);
  EXPECT_TRUE(test::refuses([&] { file.read(3, part); }, {"part 3"}));
}

TEST_F(Signed, SignersThatAreNoKeys) {
  for (const nlohmann::json& wrong : {nlohmann::json(), nlohmann::json(7), nlohmann::json("x"),
                                      nlohmann::json(std::string(64, 'g')), nlohmann::json(std::string(66, '0'))}) {
    nlohmann::json header = {{"sections", nlohmann::json::array()}, {"signer", wrong}};
    EXPECT_TRUE(test::refuses([&] {
      FileReader(Source(test::raw_container(Kind::output, header.dump(), Bytes(kSignatureBytes))), Kind::output);
    })) << wrong;
  }
}

// A run that was interrupted ends in the same file.
TEST_F(Signed, WorkThatIsContinued) {
  const Bytes whole = bytes();
  const auto continued = folder / "long.sotto";
  write(continued, &key, {.sections = 1}, 2);
  ASSERT_TRUE(std::filesystem::exists(folder / "long.sotto.part"));
  EXPECT_TRUE(test::fails_with([&] { write(continued, &other, {.sections = 1}); }, ErrorCode::wrong_key,
                               {"long.sotto.part", "other work"}));
  const Checksum digest = write(continued, &key, {.sections = 1});
  EXPECT_EQ(test::read_bytes(continued), whole);
  EXPECT_EQ(digest, FileReader(path, Kind::output).digest());
  // Interrupted between the last part and its name: the signature is there, and written again.
  Bytes almost = whole;
  test::write_bytes(folder / "long.sotto.part", almost);
  write(continued, &key, {.sections = 1});
  EXPECT_EQ(test::read_bytes(continued), whole);
}

TEST_F(Signed, KeysInFiles) {
  const auto file = folder / "server.key";
  write_signing_key(file, key);
  struct stat info {};
  ASSERT_EQ(::stat(file.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_EQ(read_signing_key(file).verification_key(), key.verification_key());
  EXPECT_TRUE(test::fails_with([&] { write_signing_key(file, other); }, ErrorCode::usage, {"server.key"}));
  EXPECT_EQ(read_signing_key(file).verification_key(), key.verification_key());
  EXPECT_TRUE(test::refuses([&] { FileWriter(file, Kind::output, nlohmann::json::object(), {}); }, {"signing key"}));
  EXPECT_TRUE(test::refuses([&] { (void)read_signing_key(path); }, {"encrypted output", "signing key"}));
  test::Contents contents(file, Kind::signing_key);
  contents.sections[0][0] ^= 1;
  contents.write(folder / "forged", Kind::signing_key);
  EXPECT_TRUE(test::refuses([&] { (void)read_signing_key(folder / "forged"); }, {"verification key"}));
  contents.sections[0].pop_back();
  contents.write(folder / "forged", Kind::signing_key);
  EXPECT_TRUE(test::refuses([&] { (void)read_signing_key(folder / "forged"); }, {"no signing key"}));
}

}  // namespace
}  // namespace sotto::wire
