// What the client remembers of an encrypted input.
#include "client/input_record.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <thread>

#include "support/expect_error.h"
#include "support/files.h"

namespace sotto::client {
namespace {

const std::string kId = "0123456789abcdef0123456789abcdef";

TEST(InputRecord, RoundTripWithAbsolutePaths) {
  const test::TempFolder folder;
  write_input_record(folder.path(), kId, {{"cifar10:some/dir", "/abs/a.png", "rel.png"}, 5, 7});
  const auto record = read_input_record(folder.path(), kId);
  ASSERT_TRUE(record.has_value());
  const auto here = std::filesystem::current_path();
  EXPECT_EQ(record->sources, (std::vector<std::string>{"cifar10:" + (here / "some/dir").string(), "/abs/a.png",
                                                       (here / "rel.png").string()}));
  EXPECT_EQ(record->start, 5u);
  EXPECT_EQ(record->count, 7u);
  struct stat info {};
  ASSERT_EQ(::stat((folder / ("inputs/" + kId + ".json")).c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST(InputRecord, HowTheImagesWereReadComesBack) {
  const test::TempFolder folder;
  write_input_record(folder.path(), kId, {{"mnist:dir"}, 0, 1, "d", images::Fit::crop, images::ArrayLayout::nhwc});
  const auto record = read_input_record(folder.path(), kId);
  ASSERT_TRUE(record.has_value());
  EXPECT_EQ(record->sources[0], "mnist:" + (std::filesystem::current_path() / "dir").string());
  EXPECT_EQ(record->fit, images::Fit::crop);
  EXPECT_EQ(record->layout, images::ArrayLayout::nhwc);
  const std::string text = test::read_text(folder / ("inputs/" + kId + ".json"));
  test::write_text(folder / ("inputs/" + kId + ".json"), std::string(text).replace(text.find("nhwc"), 4, "what"));
  EXPECT_TRUE(test::refuses([&] { (void)read_input_record(folder.path(), kId); }, {kId, "cannot be read"}));
}

TEST(InputRecord, ResultsOfSeveralProgramsAreAllRemembered) {
  const test::TempFolder folder;
  write_input_record(folder.path(), kId, {{"mnist:dir"}, 0, 1});
  constexpr char kFirst = 'a', kThreads = 4, kEach = 8;
  std::vector<std::thread> threads;
  for (char t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      for (char k = 0; k < kEach; ++k)
        (void)remember_result(
            folder.path(), kId,
            std::string(32, static_cast<char>(kFirst + t)) + std::string(32, static_cast<char>('0' + k)));
    });
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(read_input_record(folder.path(), kId)->results.size(), std::size_t{kThreads} * kEach);
}

TEST(InputRecord, RemembersResultsThatWereDecrypted) {
  const test::TempFolder folder;
  const std::string first(64, '1'), second(64, '2');
  EXPECT_EQ(remember_result(folder.path(), kId, first), Seen::never) << "nothing is known of the input";
  EXPECT_EQ(read_input_record(folder.path(), kId), std::nullopt);
  write_input_record(folder.path(), kId,
                     {{"mnist:dir"}, 3, 4, "d", images::Fit::crop, images::ArrayLayout::nhwc, std::string(64, 'f')});
  EXPECT_EQ(remember_result(folder.path(), kId, first), Seen::never);
  EXPECT_EQ(remember_result(folder.path(), kId, first), Seen::these);
  EXPECT_EQ(remember_result(folder.path(), kId, second), Seen::others);
  EXPECT_EQ(remember_result(folder.path(), kId, second), Seen::these);
  const auto record = read_input_record(folder.path(), kId);
  ASSERT_TRUE(record.has_value());
  EXPECT_EQ(record->input_digest, std::string(64, 'f'));
  EXPECT_EQ(record->results, (std::vector<std::string>{first, second}));
  EXPECT_EQ(record->sources[0], "mnist:" + (std::filesystem::current_path() / "dir").string()) << "the rest stays";
  EXPECT_EQ(record->start, 3u);
  EXPECT_EQ(record->fit, images::Fit::crop);
  EXPECT_EQ(std::filesystem::status(folder / "inputs").permissions(), std::filesystem::perms::owner_all);
}

// A note that is there and cannot be read is not taken for none: results would not be compared with their input.
TEST(InputRecord, BadOnesAreRefused) {
  const test::TempFolder folder;
  EXPECT_EQ(read_input_record(folder.path(), kId), std::nullopt);
  write_input_record(folder.path(), kId,
                     {{"a"}, 0, 1, "", images::Fit::exact, images::ArrayLayout::nchw, std::string(64, 'f')});
  const std::string good = test::read_text(folder / ("inputs/" + kId + ".json"));
  EXPECT_TRUE(read_input_record(folder.path(), kId).has_value());
  for (const std::string& text : {good.substr(0, good.size() - 3), std::string(good).replace(good.find("ffff"), 1, "g"),
                                  std::string(good).replace(good.find("ffff"), 1, "")}) {
    test::write_text(folder / ("inputs/" + kId + ".json"), text);
    EXPECT_TRUE(test::refuses([&] { (void)read_input_record(folder.path(), kId); }, {kId, "cannot be read"})) << text;
    EXPECT_TRUE(test::refuses([&] { (void)remember_result(folder.path(), kId, std::string(64, '1')); }, {kId}));
  }
  std::filesystem::remove(folder / ("inputs/" + kId + ".json"));
  std::filesystem::create_symlink("nowhere", folder / ("inputs/" + kId + ".json"));
  EXPECT_TRUE(test::refuses([&] { (void)read_input_record(folder.path(), kId); }, {kId, "cannot be read"}));
  std::filesystem::remove(folder / ("inputs/" + kId + ".json"));
  std::filesystem::create_directories(folder / "inputs");
  for (const char* text :
       {"", "{", "[]", "7", "{}", R"({"sources":[1],"start":0,"count":1})", R"({"sources":["a"],"start":-1,"count":1})",
        R"({"sources":["a"],"start":0,"count":0})", R"({"sources":"a","start":0,"count":1})"}) {
    test::write_text(folder / ("inputs/" + kId + ".json"), text);
    EXPECT_TRUE(test::refuses([&] { (void)read_input_record(folder.path(), kId); }, {kId, "cannot be read"})) << text;
  }
}

TEST(InputRecord, IdsFromFilesNameNoOtherPlace) {
  const test::TempFolder folder;
  std::filesystem::create_directories(folder / "inputs");
  const std::string good = R"({"sources":["a"],"start":0,"count":1})";
  test::write_text(folder / "outside.json", good);
  // Such ids have the right length, but are no numbers.
  const std::string up = "../outside", padded = "./././././././././././../outside";
  ASSERT_EQ(padded.size(), 32u);
  for (const std::string& id :
       {up, padded, std::string(32, 'g'), std::string(32, 'A'), std::string(31, 'a'), std::string()}) {
    test::write_text(folder / ("inputs/" + std::to_string(id.size())), good);
    EXPECT_EQ(read_input_record(folder.path(), id), std::nullopt) << id;
  }
}

TEST(InputRecord, FoldersThatCannotBeMade) {
  const test::TempFolder folder;
  test::write_text(folder / "file", "");
  EXPECT_TRUE(test::refuses([&] { write_input_record(folder / "file", kId, {{"a"}, 0, 1}); }, {"inputs"}));
}

TEST(InputRecord, PathsWithColonsStayWhatTheyAre) {
  const test::TempFolder folder;
  const std::string source = "/data/12:30/a.png";
  write_input_record(folder.path(), kId, {{source}, 0, 1});
  EXPECT_EQ(read_input_record(folder.path(), kId).value().sources, std::vector<std::string>{source});
}

}  // namespace
}  // namespace sotto::client
