// Folders as people have them: links, hidden and foreign files, what cannot be read; the names of what is found.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/sheet.h"
#include "images/image_source.h"
#include "images/picture_list.h"
#include "support/expect_error.h"
#include "support/files.h"

namespace sotto::images {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;
using test::refuses;

class PictureLists : public ::testing::Test {
 protected:
  void touch(const std::string& name) {
    fs::create_directories((folder / name).parent_path());
    test::write_text(folder / name, "");
  }
  void link(const std::string& to, const std::string& name) { fs::create_symlink(to, folder / name); }
  [[nodiscard]] Names names(const Names& sources = {""}) {
    Names full, found;
    for (const auto& s : sources) full.push_back((folder / s).string());
    list = list_pictures(full);
    for (const auto& e : list.entries) found.push_back(e.name);
    return found;
  }

  test::TempFolder folder;
  PictureList list;
};

TEST_F(PictureLists, NamesAreRelativeToTheFolder) {
  for (const char* name : {"dog/0000.png", "cat/0000.png", "x.JPG", "cat/deep/a.jpeg"}) touch(name);
  EXPECT_EQ(names(), (Names{"cat/0000.png", "cat/deep/a.jpeg", "dog/0000.png", "x.JPG"}));
  EXPECT_TRUE(list.skipped.empty());
  EXPECT_EQ(names({"cat"}), (Names{"0000.png", "deep/a.jpeg"}));
}

TEST_F(PictureLists, FilesAreCalledByTheirNamesUntilTwoAreAlike) {
  for (const char* name : {"dog/0000.png", "cat/0000.png", "cat/1.png"}) touch(name);
  EXPECT_EQ(names({"cat/1.png", "dog/0000.png"}), (Names{"1.png", "0000.png"}));
  EXPECT_EQ(names({"cat/0000.png", "dog/0000.png", "cat/1.png"}), (Names{"cat/0000.png", "dog/0000.png", "cat/1.png"}));
  EXPECT_EQ(names({"dog", "cat"}), (Names{"dog/0000.png", "cat/0000.png", "cat/1.png"}));
}

TEST_F(PictureLists, LinksAreFollowed) {
  touch("real/1.png");
  touch("elsewhere/cat/2.png");
  fs::create_directories(folder / "set");
  link("../real/1.png", "set/linked.png");
  link("../elsewhere/cat", "set/cat");
  link("../elsewhere/cat", "set/also");
  EXPECT_EQ(names({"set"}), (Names{"also/2.png", "cat/2.png", "linked.png"}));
  EXPECT_TRUE(list.skipped.empty());
}

TEST_F(PictureLists, LoopsEnd) {
  touch("a/1.png");
  link("..", "a/up");
  link(".", "self");
  EXPECT_EQ(names(), (Names{"a/1.png"}));
  EXPECT_EQ(list.skipped, "2 links that lead back up (a/up, ...)");
}

TEST_F(PictureLists, LinksToNothing) {
  touch("1.png");
  link("nowhere", "2.png");
  EXPECT_TRUE(refuses([&] { (void)names(); }, {"2.png", "link to nothing"}));
}

TEST_F(PictureLists, WhatIsSkippedIsCountedAndNamed) {
  for (const char* name : {"1.png", "a.bmp", "b.BMP", "c/d.webp", "e.gif", "f.tiff", "g.tif", "notes.txt", "h"})
    touch(name);
  EXPECT_EQ(names(), (Names{"1.png"}));
  for (const char* words :
       {"2 BMP (a.bmp, ...)", "1 WebP (c/d.webp)", "1 GIF (e.gif)", "2 TIFF (f.tiff, ...)", "2 other files (h, ...)"})
    EXPECT_NE(list.skipped.find(words), std::string::npos) << list.skipped;
}

TEST_F(PictureLists, HiddenFilesAndFoldersAreLeftAlone) {
  for (const char* name : {"1.png", ".2.png", ".thumbnails/3.png", "a/.DS_Store"}) touch(name);
  EXPECT_EQ(names(), (Names{"1.png"}));
  EXPECT_TRUE(list.skipped.empty()) << list.skipped;
}

TEST_F(PictureLists, TheNoteOfALoadedFolder) {
  test::write_bytes(folder / "1.png", client::png_of({"", -1, 3, 1, 1, {1, 2, 3}}, 1));
  touch("a.webp");
  Names notes;
  const plan::Interface io{3, 1, 1, {0, 0, 0}, {1, 1, 1}, {}, 2};
  (void)load_images({folder.path().string()}, io, 0, {}, {.note = [&](const std::string& n) { notes.push_back(n); }});
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_NE(notes[0].find("1 WebP (a.webp)"), std::string::npos);
  fs::remove(folder / "1.png");
  EXPECT_TRUE(refuses([&] { load_images({folder.path().string()}, io, 0, {}); }, {"no images", "1 WebP"}));
}

// Runs f as a user without rights; returns what it printed into a pipe.
template <class F>
std::string as_nobody(const F& f) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    std::string said = "nothing was thrown";
    if (::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(1);
    try {
      f();
    } catch (const Error& e) {
      said = e.what();
    }
    ::_exit(::write(ends[1], said.data(), said.size()) < 0 ? 1 : 0);
  }
  ::close(ends[1]);
  std::string said(4096, '\0');
  said.resize(static_cast<std::size_t>(std::max<ssize_t>(0, ::read(ends[0], said.data(), said.size()))));
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  return said;
}

TEST_F(PictureLists, PermissionsAreCalledThat) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  touch("shut/1.png");
  touch("open/1.png");
  ASSERT_EQ(::chmod(folder.path().c_str(), 0755), 0);
  ASSERT_EQ(::chmod((folder / "shut").c_str(), 0700), 0);
  ASSERT_EQ(::chmod((folder / "open/1.png").c_str(), 0600), 0);
  const plan::Interface io{3, 1, 1, {0, 0, 0}, {1, 1, 1}, {}, 2};
  for (const char* name : {"shut", "shut/1.png", "", "open", "open/1.png"}) {
    const std::string said = as_nobody([&] { load_images({(folder / name).string()}, io, 0, {}); });
    EXPECT_NE(said.find("Permission denied"), std::string::npos) << name << ": " << said;
  }
}

}  // namespace
}  // namespace sotto::images
