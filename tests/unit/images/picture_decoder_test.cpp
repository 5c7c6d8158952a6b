// Pictures are decoded by a process without rights: what it cannot do, what its death or its lies look like.
#include "images/picture_decoder.h"

#include <gtest/gtest.h>
#include <seccomp.h>
#include <stb_image_write.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sstream>

#include "client/sheet.h"
#include "images/image_source.h"
#include "images/source.h"
#include "support/chunks.h"
#include "support/expect_error.h"
#include "support/files.h"
#include "support/misbehaviour.h"

namespace sotto::images {
namespace {

using test::Bytes;
using test::fails_with;
using test::refuses;

const std::filesystem::path kMisbehaving = std::filesystem::path(SOTTO_BIN_DIR) / "misbehaving-decoder";

constexpr const char* kDeeds[] = {"open a file",     "make a file",  "reach the network",      "copy a descriptor",
                                  "write elsewhere", "lift a limit", "run code that it wrote", "look for its parent",
                                  "start a process"};

// Sanitizers make system calls of their own, so that there is no filter.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kFiltered = false;
#else
constexpr bool kFiltered = true;
#endif

Bytes bytes_of(const std::string& text) { return {text.begin(), text.end()}; }
Image decode(PictureDecoder& decoder, const Bytes& file) {
  return decoder.decode(file, [](auto, auto) {});
}
Image decode(PictureDecoder& decoder, const std::string& deed) { return decode(decoder, bytes_of(deed)); }

// Runs f in a child of its own and returns what it says.
template <class F>
std::string in_a_child(const F& f) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    std::string said;
    try {
      said = f();
    } catch (const std::exception& e) {
      said = std::string("error: ") + e.what();
    }
    ::_exit(::write(ends[1], said.data(), said.size()) < 0 ? 1 : 0);
  }
  ::close(ends[1]);
  std::string said(4096, '\0');
  said.resize(static_cast<std::size_t>(std::max<ssize_t>(0, ::read(ends[0], said.data(), said.size()))));
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  return said;
}

// From here on this process and those it starts may not filter system calls, as in some containers.
void forbid_filters() {
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
  seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(seccomp), 0);
  seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_EQ, PR_SET_SECCOMP));
  const int failed = seccomp_load(filter);
  seccomp_release(filter);
  if (failed != 0) throw std::runtime_error("no filter can be set here");
}

// From here on a system call fails whose argument is at least so much.
void forbid(int call, unsigned argument, scmp_datum_t least) {
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
  seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), call, 1, scmp_arg_cmp{argument, SCMP_CMP_GE, least, 0});
  const int failed = seccomp_load(filter);
  seccomp_release(filter);
  if (failed != 0) throw std::runtime_error("no filter can be set here");
}

TEST(PictureDecoder, ManyPicturesInOneProcess) {
  PictureDecoder decoder;
  std::mt19937_64 rng(3);
  pid_t first = 0;
  for (int k = 0; k < 300; ++k) {
    const int channels = k % 2 == 0 ? 1 : 3, height = 1 + k % 7, width = 1 + k % 11;
    const Image image{"",     -1,    channels,
                      height, width, test::random_bytes(static_cast<std::size_t>(channels * height * width), rng)};
    Bytes rows;
    for (int y = 0; y < height; ++y) {
      rows.push_back(0);
      for (int x = 0; x < width; ++x)
        for (int c = 0; c < channels; ++c)
          rows.push_back(image.pixels[static_cast<std::size_t>((c * height + y) * width + x)]);
    }
    const Image decoded =
        decode(decoder, test::png(static_cast<std::uint32_t>(width), static_cast<std::uint32_t>(height), 8,
                                  channels == 1 ? 0 : 2, rows));
    ASSERT_EQ(decoded.pixels, image.pixels) << k;
    ASSERT_EQ(decoded.channels, channels);
    ASSERT_EQ(decoded.width, width);
    ASSERT_EQ(decoded.height, height);
    if (k == 0) first = decoder.process();
    ASSERT_EQ(decoder.process(), first);
  }
}

TEST(PictureDecoder, ItsProcessHasNoRights) {
  PictureDecoder decoder;
  (void)decode(decoder, test::png(1, 1, 8, 0, {0, 7}));
  const std::string status = test::read_text("/proc/" + std::to_string(decoder.process()) + "/status");
  EXPECT_NE(status.find("NoNewPrivs:\t1\n"), std::string::npos) << status;
  EXPECT_NE(status.find("CapEff:\t0000000000000000\n"), std::string::npos) << status;
  EXPECT_EQ(decoder.weakly_confined(), !kFiltered);
  EXPECT_EQ(status.find("Seccomp:\t2\n") != std::string::npos, kFiltered) << status;
}

TEST(PictureDecoder, WhatItCannotDo) {
  if (!kFiltered) GTEST_SKIP() << "sanitizers make system calls of their own";
  PictureDecoder decoder(kMisbehaving);
  for (const char* deed : kDeeds) {
    ASSERT_EQ(in_a_child([&] { return std::string(test::attempt(deed) ? "yes" : "no"); }), "yes")
        << deed << ": not even a process with all rights can";
    if (std::string(deed).ends_with(" a file")) {  // fails, as files are looked for that need not be there
      EXPECT_EQ(decode(decoder, deed).pixels, (Bytes{0, 0})) << deed;
    } else {
      EXPECT_TRUE(refuses([&] { decode(decoder, deed); }, {"may not"})) << deed;
      EXPECT_EQ(decoder.process(), 0);
    }
    EXPECT_EQ(decode(decoder, "behave").pixels, (Bytes{5, 6})) << "after " << deed;
  }
}

TEST(PictureDecoder, WhereFiltersAreForbidden) {
  const std::string said = in_a_child([] {
    forbid_filters();
    PictureDecoder decoder(kMisbehaving);
    std::string done = decode(decoder, "behave").pixels == Bytes{5, 6} && decoder.weakly_confined() ? "weak" : "strong";
    for (const char* deed : {"open a file", "make a file", "reach the network", "copy a descriptor", "lift a limit"})
      if (decode(decoder, deed).pixels.at(0) != 0) done += std::string(", can ") + deed;
    return done;
  });
  EXPECT_EQ(said, "weak");
}

TEST(PictureDecoder, DecodesNothingWhereNotEvenLimitsCanBeSet) {
  const std::pair<const char*, std::function<void()>> rights[] = {
      {"limits", [] { forbid(SCMP_SYS(prlimit64), 2, 1); }},  // to be set, not read
      {"capabilities", [] { forbid(SCMP_SYS(capset), 0, 0); }},
      {"dumps and new rights", [] { forbid(SCMP_SYS(prctl), 0, 0); }}};
  for (const auto& [what, keep] : rights) {
    const std::string said = in_a_child([&] {
      keep();
      PictureDecoder decoder(kMisbehaving);
      return decode(decoder, "behave").pixels == Bytes{5, 6} ? std::string("decoded") : "other pixels";
    });
    EXPECT_NE(said.find("cannot start"), std::string::npos) << what << ": " << said;
    EXPECT_NE(said.find("give up its rights"), std::string::npos) << what << ": " << said;
  }
}

TEST(PictureDecoder, EndsAtOnceWhenItShould) {
  bool stop = false;
  PictureDecoder decoder(kMisbehaving, std::chrono::seconds(120), [&] {
    if (stop) throw Error(ErrorCode::interrupted, "stopped");
  });
  (void)decode(decoder, "behave");
  const pid_t process = decoder.process();
  stop = true;
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(fails_with([&] { decode(decoder, "toil"); }, ErrorCode::interrupted, {"stopped"}));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(1)) << "less than toil is allowed";
  EXPECT_EQ(decoder.process(), 0);
  EXPECT_EQ(::kill(process, 0), -1) << "it lives on";
  // Also while the next one starts.
  EXPECT_TRUE(fails_with([&] { decode(decoder, "toil"); }, ErrorCode::interrupted, {"stopped"}));
  stop = false;
  EXPECT_EQ(decode(decoder, "behave").pixels, (Bytes{5, 6}));
}

TEST(PictureDecoder, TheUserIsToldWhereFiltersAreForbidden) {
  const test::TempFolder folder;
  test::write_bytes(folder / "1.png", client::png_of({"", -1, 3, 1, 1, {1, 2, 3}}, 1));
  const plan::Interface io{3, 1, 1, {0, 0, 0}, {1, 1, 1}, {}, 2};
  const auto notes = [&] {
    std::string all;
    (void)load_images({folder.path().string()}, io, 0, {}, {.note = [&](const std::string& n) { all += n; }});
    return all;
  };
  EXPECT_EQ(notes().empty(), kFiltered);
  const std::string said = in_a_child([&] {
    forbid_filters();
    return notes();
  });
  EXPECT_NE(said.find("system calls"), std::string::npos) << said;
}

TEST(PictureDecoder, WhenItsProcessEnds) {
  PictureDecoder decoder(kMisbehaving, std::chrono::seconds(1));
  EXPECT_TRUE(refuses([&] { decode(decoder, "end"); }, {"exit code 7"}));
  EXPECT_TRUE(refuses([&] { decode(decoder, "crash"); }, {"ended"}));
  EXPECT_TRUE(refuses([&] { decode(decoder, "give less"); }, {"ended"}));
  EXPECT_TRUE(refuses([&] { decode(decoder, "wait"); }, {"does not answer"}));
  PictureDecoder patient(kMisbehaving);
  EXPECT_TRUE(refuses([&] { decode(patient, "toil"); }, {"too long"}));
  // Somebody else ends it between two pictures.
  (void)decode(decoder, "behave");
  ASSERT_EQ(::kill(decoder.process(), SIGKILL), 0);
  EXPECT_TRUE(refuses([&] { decode(decoder, "behave"); }, {"signal 9"}));
  EXPECT_EQ(decode(decoder, "behave").pixels, (Bytes{5, 6}));
}

TEST(PictureDecoder, TooMuchMemory) {
  if (!kFiltered) GTEST_SKIP() << "sanitizers need more memory than the limit";
  PictureDecoder decoder(kMisbehaving);
  EXPECT_TRUE(refuses([&] { decode(decoder, "take memory"); }, {"memory"}));
  EXPECT_EQ(decode(decoder, "behave").pixels, (Bytes{5, 6}));
}

// Not the picture is to blame then.
TEST(PictureDecoder, WhereTheSystemLimitsMemoryOrTime) {
  const auto said = [](__rlimit_resource_t resource, rlim_t most, const char* deed) {
    return in_a_child([=] {
      const rlimit limit{most, most};
      if (::setrlimit(resource, &limit) != 0) return std::string("no limit can be set here");
      PictureDecoder decoder(kMisbehaving);
      try {
        (void)decode(decoder, deed);
      } catch (const Error& e) {
        if (e.code() != ErrorCode::no_resources) throw;
        return std::string(e.what()) +
               (resource == RLIMIT_AS && decode(decoder, "behave").pixels != Bytes{5, 6} ? " and then no other" : "");
      }
      return std::string("decoded");
    });
  };
  if (kFiltered) {
    EXPECT_EQ(said(RLIMIT_AS, rlim_t{1} << 30, "take memory"), "there is not enough memory to decode it");
    EXPECT_NE(said(RLIMIT_AS, rlim_t{8} << 30, "take memory").find("error: it takes too much memory"),
              std::string::npos);
  }
  for (const rlim_t seconds : {1, 2}) {
    const std::string text = said(RLIMIT_CPU, seconds, "toil");
    EXPECT_EQ(text.find("it takes too long"), 0u) << text;
    EXPECT_NE(text.find("limit of " + std::to_string(seconds) + " s"), std::string::npos) << text;
  }
  // It is told that its time is over before it is ended.
  const std::string limits = in_a_child([] {
    const rlimit limit{3, 3};
    (void)::setrlimit(RLIMIT_CPU, &limit);
    PictureDecoder decoder;
    (void)decode(decoder, test::png(1, 1, 8, 0, {0, 7}));
    return test::read_text("/proc/" + std::to_string(decoder.process()) + "/limits");
  });
  std::istringstream fields(limits.substr(std::min(limits.size(), limits.find("Max cpu time") + 12)));
  int told = 0, ended = 0;
  EXPECT_TRUE(fields >> told >> ended) << limits;
  EXPECT_EQ(told, 2);
  EXPECT_EQ(ended, 3);
}

TEST(PictureDecoder, WhereThereAreNoMoreDescriptors) {
  EXPECT_EQ(in_a_child([] {
              const rlimit limit{0, 0};
              (void)::setrlimit(RLIMIT_NOFILE, &limit);
              PictureDecoder decoder;
              try {
                (void)decode(decoder, test::png(1, 1, 8, 0, {0, 7}));
              } catch (const Error& e) {
                return "exit code " + std::to_string(static_cast<int>(e.code()));
              }
              return std::string("decoded");
            }),
            "exit code 5");
}

TEST(PictureDecoder, LiesAreNotBelieved) {
  PictureDecoder decoder(kMisbehaving);
  for (const char* lie : {"announce a long text", "give pixels unasked", "talk nonsense", "give more",
                          "give many channels", "say nothing"}) {
    EXPECT_TRUE(refuses([&] { decode(decoder, lie); }, {"no sense"})) << lie;
    EXPECT_EQ(decoder.process(), 0) << lie;
  }
  EXPECT_TRUE(refuses([&] { decode(decoder, "refuse"); }, {"it is no picture??[2Jof mine"})) << "control characters";
  EXPECT_TRUE(refuses([&] { decode(decoder, "say a lot"); }, {"xxx"}));
}

TEST(PictureDecoder, ErrorsNameTheFile) {
  const test::TempFolder folder;
  test::write_text(folder / "bad.png", "crash");
  const plan::Interface io{1, 1, 2, {0}, {1}, {}, 2};
  const auto open = [&](const char* name) { return open_pictures({(folder / name).string()}, io, {}, kMisbehaving); };
  EXPECT_TRUE(refuses([&] { open("bad.png")->next(); }, {"cannot use ", "bad.png", "ended"}));
  test::write_text(folder / "good.png", "behave");
  EXPECT_EQ(open("good.png")->next().pixels, (Bytes{5, 6}));
}

TEST(PictureDecoder, ProgramsThatAreNone) {
  const auto start = [](const std::filesystem::path& program) {
    return [=] {
      PictureDecoder decoder(program);
      decode(decoder, "x");
    };
  };
  EXPECT_TRUE(
      fails_with(start("/nowhere/sotto-decode"), ErrorCode::internal, {"/nowhere/sotto-decode", "No such file"}));
  EXPECT_TRUE(fails_with(start("/bin/true"), ErrorCode::internal, {"/bin/true", "exit code 0"}));
  EXPECT_TRUE(fails_with(start("/bin/echo"), ErrorCode::internal, {"/bin/echo"}));
}

TEST(PictureDecoder, SizesAreAskedForOnceAndRefusalsPassed) {
  PictureDecoder decoder;
  const Bytes huge = test::png(0x7fffffff, 0x7fffffff, 8, 2, {});
  int asked = 0;
  const auto refuse = [&](std::uint64_t width, std::uint64_t height) {
    ++asked;
    EXPECT_EQ(width, 0x7fffffffu);
    EXPECT_EQ(height, 0x7fffffffu);
    throw Error(ErrorCode::bad_input, "too large", Setting::fit);
  };
  EXPECT_TRUE(refuses([&] { decoder.decode(huge, refuse); }, {"too large"}));
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(decode(decoder, test::png(1, 1, 8, 0, {0, 7})).pixels, (Bytes{7}));
  // One that is allowed, and larger than the memory that decoding may take.
  EXPECT_TRUE(refuses([&] { decode(decoder, test::png(60000, 60000, 8, 2, {})); }));
  EXPECT_EQ(decode(decoder, test::png(1, 1, 8, 0, {0, 7})).pixels, (Bytes{7}));
}

TEST(PictureDecoder, DamagedPicturesDoNotEndIt) {
  PictureDecoder decoder;
  std::mt19937_64 rng(9);
  const Bytes good = test::png(3, 2, 8, 2, Bytes(20, 1));
  (void)decode(decoder, good);
  const pid_t process = decoder.process();
  for (int k = 0; k < 300; ++k) {
    try {
      (void)decode(decoder, test::mutate(good, rng));
    } catch (const Error& e) {
      ASSERT_EQ(e.code(), ErrorCode::bad_input) << e.what();
    }
  }
  EXPECT_EQ(decoder.process(), process);
}

}  // namespace
}  // namespace sotto::images
