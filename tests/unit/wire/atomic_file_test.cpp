// A file appears whole or not at all, and what was there before survives every failure.
#include "wire/atomic_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <fstream>

#include "support/expect_error.h"
#include "support/files.h"
#include "wire/outputs.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace {

std::string synchronised;  // what was: f: a file, d: a folder

}  // namespace

// In the place of the system's: notes what it is asked for.
extern "C" int fsync(int fd) {
  struct stat info {};
  synchronised += ::fstat(fd, &info) == 0 && S_ISDIR(info.st_mode) ? 'd' : 'f';
  return static_cast<int>(::syscall(SYS_fsync, fd));
}

namespace sotto::wire {
namespace {

using test::Bytes;
using Names = std::set<std::string>;

const Bytes kText = {'n', 'e', 'w'};

unsigned mode_of(const std::filesystem::path& path) {
  struct stat info {};
  EXPECT_EQ(::stat(path.c_str(), &info), 0);
  return info.st_mode & 07777;
}

class Umask {
 public:
  explicit Umask(mode_t mask) : old_(::umask(mask)) {}
  ~Umask() { ::umask(old_); }

 private:
  mode_t old_;
};

TEST(AtomicFile, NothingAppearsWithoutACommit) {
  const test::TempFolder folder;
  {
    AtomicFile file(folder / "a", Access::everyone);
    file.write(kText);
    EXPECT_FALSE(folder.names().contains("a"));
    EXPECT_EQ(folder.names().size(), 1u) << "the temporary file lies beside it, so that renaming never copies";
  }
  EXPECT_EQ(folder.names(), Names{});
}

TEST(AtomicFile, TheOldFileStaysUntilTheCommit) {
  const test::TempFolder folder;
  test::write_text(folder / "a", "old");
  {
    AtomicFile file(folder / "a", Access::everyone);
    file.write(kText);
  }
  EXPECT_EQ(test::read_text(folder / "a"), "old");
  AtomicFile file(folder / "a", Access::everyone);
  file.write(kText);
  EXPECT_EQ(test::read_text(folder / "a"), "old");
  file.commit();
  EXPECT_EQ(test::read_text(folder / "a"), "new");
  EXPECT_EQ(folder.names(), Names{"a"});
}

TEST(AtomicFile, TwoWritersOfOneFile) {
  const test::TempFolder folder;
  AtomicFile first(folder / "a", Access::everyone), second(folder / "a", Access::everyone);
  first.write(kText);
  second.write(Bytes{'2'});
  second.commit();
  first.commit();
  EXPECT_EQ(test::read_text(folder / "a"), "new");
  EXPECT_EQ(folder.names(), Names{"a"});
}

TEST(AtomicFile, WhatKilledWritersLeftIsRemoved) {
  const test::TempFolder folder;
  const pid_t child = ::fork();
  if (child == 0) {
    AtomicFile file(folder / "a", Access::everyone);
    file.write(kText);
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  ASSERT_EQ(folder.names().size(), 1u);
  const Names others = {"a.tmp", "a.7-0.tmp.old", "a.7.tmp", "a.x-0.tmp", "ab.7-0.tmp", "a.b.7-0.tmp", "b"};
  for (const std::string& name : others) test::write_text(folder / name, "of the user");
  std::filesystem::create_symlink("b", folder / "a.8-0.tmp");
  std::filesystem::create_directory(folder / "a.9-0.tmp");
  AtomicFile(folder / "a", Access::everyone).commit();
  Names expected = others;
  expected.insert({"a", "a.8-0.tmp", "a.9-0.tmp"});
  EXPECT_EQ(folder.names(), expected);
}

TEST(AtomicFile, ModesAreThoseAskedFor) {
  const test::TempFolder folder;
  {
    const Umask none(0);
    AtomicFile(folder / "secret", Access::owner_only).commit();
    AtomicFile(folder / "open", Access::everyone).commit();
  }
  EXPECT_EQ(mode_of(folder / "secret"), 0600u);
  EXPECT_EQ(mode_of(folder / "open"), 0644u);
  const Umask strict(077);
  AtomicFile(folder / "shy", Access::everyone).commit();
  EXPECT_EQ(mode_of(folder / "shy"), 0600u) << "the user's umask counts";
}

TEST(AtomicFile, WhatIsNotedBesideAKeyIsNoOutput) {
  const test::TempFolder folder;
  for (const char* name : {"releases", "inputs", "plans"}) {
    std::filesystem::create_directory(folder / name);
    const auto path = folder / name / "record.json";
    test::write_text(path, "a record");
    EXPECT_NO_THROW(write_file(path, "new")) << "no folder of keys";
  }
  test::write_text(folder / "secret.key", "");
  std::filesystem::create_symlink(folder / "releases/record.json", folder / "link");
  for (const char* name : {"releases/record.json", "inputs/new.json", "plans/../plans/record.json", "link"})
    EXPECT_TRUE(test::fails_with([&] { write_file(folder / name, "new"); }, ErrorCode::bad_input)) << name;
  EXPECT_NO_THROW(AtomicFile(folder / "releases/record.json", Access::owner_only).commit()) << "a record itself";
  EXPECT_NO_THROW(write_file(folder / "scores.csv", ""));
}

TEST(AtomicFile, SecretsAreNeverReadableOnTheWay) {
  const test::TempFolder folder;
  const Umask none(0);
  test::write_text(folder / "secret", "old, readable by all");
  AtomicFile file(folder / "secret", Access::owner_only);
  file.write(kText);
  for (const std::string& name : folder.names())
    EXPECT_TRUE(name == "secret" || mode_of(folder / name) == 0600u) << name;
  file.commit();
  EXPECT_EQ(mode_of(folder / "secret"), 0600u);
}

TEST(AtomicFile, ANewSecretKeyReplacesNothing) {
  const test::TempFolder folder;
  AtomicFile file(folder / "secret.key", Access::new_secret_key);
  file.write(kText);
  test::write_text(folder / "secret.key", "of another program");  // which was faster
  EXPECT_TRUE(test::fails_with([&] { file.commit(); }, ErrorCode::usage, {"secret.key", "exists now"}));
  EXPECT_EQ(test::read_text(folder / "secret.key"), "of another program");
  AtomicFile first(folder / "first.key", Access::new_secret_key);
  first.write(kText);
  first.commit();
  EXPECT_EQ(mode_of(folder / "first.key"), 0600u);
}

// Else a file can be gone after a loss of power, although its bytes were written.
// Whoever could write there could make a signed result of it.
TEST(AtomicFile, DoesNotGoOnWithWhatOthersMayHaveWritten) {
  const test::TempFolder folder;
  const auto open = [&] {
    AtomicFile(folder / "out", Access::everyone, std::nullopt, AtomicFile::Temporary::continued);
  };
  test::write_text(folder / "out.part", "begun");
  EXPECT_NO_THROW(open());
  ASSERT_EQ(::chmod((folder / "out.part").c_str(), 0666), 0);
  EXPECT_TRUE(test::refuses(open, {"out.part", "remove it"}));
  ASSERT_EQ(::chmod((folder / "out.part").c_str(), 0644), 0);
  std::filesystem::create_hard_link(folder / "out.part", folder / "link");
  EXPECT_TRUE(test::refuses(open, {"out.part", "remove it"}));
}

TEST(AtomicFile, TheNameReachesTheDisk) {
  const test::TempFolder folder;
  synchronised.clear();
  AtomicFile file(folder / "a", Access::everyone);
  file.write(kText);
  file.commit();
  EXPECT_EQ(synchronised, "fd");
  AtomicFile part(folder / "b", Access::everyone, std::nullopt, AtomicFile::Temporary::continued);
  part.write(kText);
  part.keep();
  part.keep();
  EXPECT_EQ(synchronised, "fdfdf");
}

TEST(AtomicFile, PlacesWhereNoFileCanBe) {
  const test::TempFolder folder;
  EXPECT_TRUE(test::refuses([&] { AtomicFile(folder / "no/such/folder/a", Access::everyone); }, {"no/such/folder/a"}));
  EXPECT_TRUE(test::refuses([&] { AtomicFile(folder.path(), Access::everyone); }, {folder.path().string()}));
  test::write_text(folder / "file", "");
  EXPECT_TRUE(test::refuses([&] { AtomicFile(folder / "file/a", Access::everyone); }, {"file/a"}));
  EXPECT_EQ(folder.names(), Names{"file"});
}

TEST(AtomicFile, NamesThatAreTooLong) {
  const test::TempFolder folder;
  EXPECT_TRUE(test::refuses([&] { AtomicFile(folder / std::string(300, 'a'), Access::everyone); }));
}

TEST(AtomicFile, WriteFileReplaces) {
  const test::TempFolder folder;
  write_file(folder / "a", "one");
  write_file(folder / "a", std::string_view("t\0o", 3));
  EXPECT_EQ(test::read_text(folder / "a"), std::string("t\0o", 3));
}

TEST(AtomicFile, LinksStayLinks) {
  const test::TempFolder folder;
  std::filesystem::create_directories(folder / "data");
  test::write_text(folder / "data/old", "old");
  std::filesystem::create_symlink("data/old", folder / "there");
  std::filesystem::create_symlink("data/new", folder / "new");
  std::filesystem::create_symlink("there", folder / "link-to-link");
  std::filesystem::create_symlink(std::filesystem::absolute(folder / "data"), folder / "linked");
  write_file(folder / "link-to-link", "one");
  write_file(folder / "new", "two");
  write_file(folder / "linked/three", "three");
  EXPECT_EQ(test::read_text(folder / "data/old"), "one");
  EXPECT_EQ(test::read_text(folder / "data/new"), "two");
  EXPECT_EQ(test::read_text(folder / "data/three"), "three");
  for (const char* name : {"there", "new", "link-to-link", "linked"})
    EXPECT_TRUE(std::filesystem::is_symlink(folder / name)) << name;
  EXPECT_EQ(folder.names(), (Names{"data", "there", "new", "link-to-link", "linked"}));
  EXPECT_EQ(output_target(folder / "link-to-link"), folder / "data/old");
}

TEST(AtomicFile, UnfinishedWorkIsKeptBesideWhatALinkLeadsTo) {
  const test::TempFolder folder;
  std::filesystem::create_directories(folder / "data");
  std::filesystem::create_symlink("data/out", folder / "out");
  {
    FileWriter file(folder / "out", Kind::output, nlohmann::json::object(), {3, 3}, Access::everyone, {.sections = 1});
    file.write(kText);
  }
  EXPECT_TRUE(std::filesystem::exists(folder / "data/out.part"));
  FileWriter file(folder / "data/out", Kind::output, nlohmann::json::object(), {3, 3}, Access::everyone,
                  {.sections = 1});
  EXPECT_EQ(file.finished(), 1u);
  file.write(kText);
  file.commit();
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "out"));
}

// Units of one kind come before those of another; what an interruption cuts off of one is made again.
TEST(AtomicFile, UnfinishedWorkOfTwoKinds) {
  const test::TempFolder folder;
  const Units units{.sections = 3, .lead = 4, .sections_of_lead = 2};
  const auto finished_after = [&](int sections) {
    std::filesystem::remove(folder / "out.part");
    {
      FileWriter file(folder / "out", Kind::output, nlohmann::json::object(),
                      std::vector<std::uint64_t>(10, kText.size()), Access::everyone, units);
      for (int k = 0; k < sections; ++k) file.write(kText);
    }
    return FileWriter(folder / "out", Kind::output, nlohmann::json::object(),
                      std::vector<std::uint64_t>(10, kText.size()), Access::everyone, units)
        .finished();
  };
  const std::size_t wanted[] = {0, 0, 2, 2, 4, 4, 4, 7, 7, 7};
  for (int k = 0; k < 10; ++k) EXPECT_EQ(finished_after(k), wanted[k]) << k;
}

TEST(AtomicFile, UnfinishedWorkThatIsDamagedIsNotOtherWork) {
  const test::TempFolder folder;
  const auto writer = [&](const char* plan) {
    return FileWriter(folder / "out", Kind::output, {{"plan", plan}}, {3, 3}, Access::everyone, {.sections = 1});
  };
  {
    FileWriter file(folder / "out", Kind::output, {{"plan", "a"}}, {3, 3}, Access::everyone, {.sections = 1});
    file.write(kText);
  }
  EXPECT_TRUE(
      test::fails_with([&] { return writer("b").finished(); }, ErrorCode::wrong_key, {"out.part", "other work"}));
  EXPECT_EQ(read_header(folder / "out.part", Kind::output).at("plan"), "a");
  std::fstream file(folder / "out.part", std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(kPreambleBytes + 3);
  file.put('?');
  file.close();
  EXPECT_TRUE(
      test::refuses([&] { return writer("a").finished(); }, {"out.part", "header is corrupted", "remove the file"}));
}

TEST(AtomicFile, LinksThatLeadNowhereGood) {
  const test::TempFolder folder;
  std::filesystem::create_symlink("a", folder / "b");
  std::filesystem::create_symlink("b", folder / "a");
  std::filesystem::create_symlink("/dev/null", folder / "null");
  std::filesystem::create_symlink("no/such/folder/a", folder / "far");
  test::write_text(folder / "open", "");
  const int fd = ::open((folder / "open").c_str(), O_RDWR);
  EXPECT_TRUE(test::refuses([&] { AtomicFile(folder / "a", Access::everyone); }, {"circle"}));
  EXPECT_TRUE(test::refuses([&] { AtomicFile(folder / "null", Access::everyone); }, {"null", "not a regular file"}));
  EXPECT_TRUE(test::refuses([&] { AtomicFile(folder / "far", Access::everyone); }, {"far"}));
  EXPECT_TRUE(test::refuses([&] { AtomicFile("/dev/fd/" + std::to_string(fd), Access::everyone); }, {"open"}));
  ::close(fd);
}

TEST(StandardOutput, TakesTextsOnly) {
  for (const char* name : {"-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"}) {
    EXPECT_TRUE(is_standard_output(name)) << name;
    EXPECT_TRUE(test::fails_with([&] { AtomicFile(name, Access::everyone); }, ErrorCode::usage, {"standard output"}));
    EXPECT_TRUE(require_outputs({}, std::array{std::string(name)}));
    EXPECT_TRUE(test::fails_with([&] { require_outputs(std::array{std::string(name)}, {}); }, ErrorCode::usage));
    ::testing::internal::CaptureStdout();
    write_file(name, "text");
    EXPECT_EQ(::testing::internal::GetCapturedStdout(), "text");
  }
  EXPECT_FALSE(is_standard_output("./-"));
  EXPECT_TRUE(test::fails_with(
      [&] {
        require_outputs({}, std::array<std::string, 2>{"-", "/dev/stdout"});
      },
      ErrorCode::usage, {"two outputs"}));
}

TEST(RequireOutputs, FindsOneFileUnderTwoNames) {
  const test::TempFolder folder;
  std::filesystem::create_symlink("a", folder / "link");
  const auto names = [&](const std::string& x, const std::string& y) {
    return std::array{(folder / x).string(), (folder / y).string(), std::string()};
  };
  EXPECT_FALSE(require_outputs(names("a", "b"), names("c", "d")));
  EXPECT_TRUE(test::fails_with([&] { require_outputs(names("a", "link"), {}); }, ErrorCode::usage, {"two outputs"}));
  EXPECT_TRUE(test::fails_with([&] { require_outputs(names("a", "b"), names("c", "./b")); }, ErrorCode::usage));
  EXPECT_EQ(folder.names(), Names{"link"});
}

TEST(RequireKept, InputsAreNotReplaced) {
  const test::TempFolder folder;
  const auto path = [&](const std::string& name) { return (folder / name).string(); };
  std::filesystem::create_directory(folder / "pictures");
  for (const char* name : {"net.onnx", "pictures/a.png", "pictures/labels.csv"}) std::ofstream(path(name)) << "x";
  std::filesystem::create_symlink("net.onnx", path("link"));
  const std::vector<std::string> inputs{path("net.onnx"), path("pictures"), "cifar10:nowhere", ""};
  for (const char* name : {"net.onnx", "link", "pictures/a.png"})
    EXPECT_TRUE(test::fails_with([&] { require_kept(inputs, std::vector{path(name)}); }, ErrorCode::usage,
                                 {name, "another output"}))
        << name;
  for (const char* name : {"new.json", "pictures/new.png", "pictures/labels.csv", ""})
    EXPECT_NO_THROW(require_kept(inputs, std::vector{path(name)})) << name;
}

// Runs f in a child that may not write files longer than `limit` bytes, which fails as a full disk does. Returns its
// exit code.
template <class F>
int with_file_limit(rlim_t limit, F f) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit bound{limit, limit};
    if (::setrlimit(RLIMIT_FSIZE, &bound) != 0) ::_exit(99);
    try {
      f();
    } catch (const Error& e) {
      ::_exit(static_cast<int>(e.code()));
    } catch (...) {
      ::_exit(98);
    }
    ::_exit(0);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  return WEXITSTATUS(status);
}

TEST(AtomicFile, AFullDiskLeavesNothingBehind) {
  const test::TempFolder folder;
  test::write_text(folder / "old", "old");
  const Bytes much(100000, 1);
  const auto write = [&](const std::string& name) {
    AtomicFile file(folder / name, Access::everyone);
    file.write(much);
    file.commit();
  };
  constexpr int no_resources = static_cast<int>(ErrorCode::no_resources);
  EXPECT_EQ(with_file_limit(5000, [&] { write("a"); }), no_resources);
  EXPECT_EQ(with_file_limit(0, [&] { write("a"); }), no_resources);
  EXPECT_EQ(with_file_limit(5000, [&] { write("old"); }), no_resources);
  EXPECT_EQ(with_file_limit(5000,
                            [&] {
                              FileWriter file(folder / "b", Kind::plan, nlohmann::json::object(), {much.size()});
                              file.write(much);
                              file.commit();
                            }),
            no_resources);
  EXPECT_EQ(folder.names(), Names{"old"});
  EXPECT_EQ(test::read_text(folder / "old"), "old");
  EXPECT_EQ(with_file_limit(much.size(), [&] { write("a"); }), 0);
  EXPECT_EQ(std::filesystem::file_size(folder / "a"), much.size());
}

}  // namespace
}  // namespace sotto::wire
