#include "cli/console.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sodium.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <tbb/global_control.h>
#include <tbb/task_arena.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
#include <string_view>
#include <system_error>

#include "base/error.h"
#include "base/shortage.h"
#include "base/text.h"
#include "cli/last_words.h"

namespace sotto::cli {

namespace {

std::atomic<bool> stop{false};
std::atomic<int> at_once{0};          // that exist
std::array<char, 128> farewell = {};  // of AtOnce
const char kInterrupted[] = "interrupted; no output was written";
const char kNoThread[] = "the system starts no more threads; it limits their number or the memory that they need";

// How the programs name what an error says, in brackets behind it.
std::string option_for(Setting setting) {
  switch (setting) {
    case Setting::none:
      break;
    case Setting::agreement:
      return " (--agreement)";
    case Setting::calibration:
      return " (--calibrate SRC)";
    case Setting::count:
      return " (--start, --count)";
    case Setting::fit:
      return " (--resize, --crop)";
    case Setting::keys:
      return " (--eval-key, --force)";
    case Setting::layout:
      return " (--layout nchw or nhwc)";
    case Setting::function_error:
      return " (--relu-error)";
    case Setting::memory:
      return " (--memory)";
    case Setting::scratch:
      return " (--scratch, --memory)";
    case Setting::signing_key:
      return " (--signing-key)";
  }
  return "";
}

void on_signal(int number) {
  if (at_once > 0) {
    (void)!::write(STDERR_FILENO, farewell.data(), std::strlen(farewell.data()));
    ::_exit(static_cast<int>(ErrorCode::interrupted));
  }
  // The second Ctrl-C ends the program at once.
  if (stop.exchange(true)) {
    std::signal(number, SIG_DFL);
    std::raise(number);
  }
}

// As of a program that the signal ends.
constexpr int kReaderLeft = 128 + SIGPIPE;

// Whether a write to the standard output failed because its reader went away, as `head` does when it has seen enough.
bool reader_left() {
  pollfd output{STDOUT_FILENO, 0, 0};
  return std::ferror(stdout) != 0 && ::poll(&output, 1, 0) == 1 && (output.revents & POLLERR) != 0;
}

// Opens what whoever started the program has closed: a file of ours would get that number, and messages with it.
// Reading and writing still fail.
void fill_standard_descriptors() {
  for (int number : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::fcntl(number, F_GETFD) < 0) ::open("/dev/null", number == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

}  // namespace

const std::atomic<bool>& stop_requested() { return stop; }

void check_stop() {
  if (stop) throw Error(ErrorCode::interrupted, kInterrupted);
}

AtOnce::AtOnce() {
  check_stop();
  ++at_once;
}
AtOnce::~AtOnce() { --at_once; }

// A log that nobody can read any more is no reason to stop.
void print_error(const std::string& text) { (void)std::fputs(text.c_str(), stderr); }

void print_note(const std::string& text) { print_error("note: " + readable_text(text) + "\n"); }

int guarded_main(const char* program, const std::function<int()>& body) {
  fill_standard_descriptors();
  install_last_words(program);
  // Behind a progress line on a terminal; made here because a signal handler may only write.
  std::snprintf(farewell.data(), farewell.size(), "%s%s: %s\n", isatty(STDERR_FILENO) != 0 ? "\n" : "", program,
                kInterrupted);
  for (int number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action {};
    ::sigaction(number, nullptr, &action);
    if (action.sa_handler == SIG_IGN) continue;  // as under nohup
    action = {};
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    ::sigaction(number, &action, nullptr);
  }
  // Writing too much or to nobody is an error of that write.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  const auto report = [&](const std::string& what, ErrorCode code) {
    if (reader_left()) return kReaderLeft;
    std::string line = what;
    std::replace(line.begin(), line.end(), '\n', ' ');
    print_error(fmt::format("{}: {}\n", program, readable_text(line)));
    return static_cast<int>(code);
  };
  try {
    if (sodium_init() < 0) return report("libsodium does not start", ErrorCode::internal);
    const int status = body();
    if (std::fflush(stdout) != 0) return report("cannot write to the standard output", ErrorCode::no_resources);
    return status;
  } catch (const Error& e) {
    // Libraries that hide it take a file for a damaged one.
    if (e.code() == ErrorCode::bad_input && memory_ran_out())
      return report(std::string("not enough memory, which may be why: ") + e.what(), ErrorCode::no_resources);
    return report(e.what() + option_for(e.setting()), e.code());
  } catch (const std::bad_alloc&) {
    return report("not enough memory; use a smaller --batch, or a machine with more", ErrorCode::no_resources);
  } catch (const std::filesystem::filesystem_error& e) {
    const std::string path = e.path1().empty() ? "a file" : e.path1().string();
    return report("cannot use " + path + ": " + e.code().message(), code_of(e.code().value()));
  } catch (const std::system_error& e) {
    return report(e.code() == std::errc::resource_unavailable_try_again
                      ? kNoThread
                      : std::string("the system refuses: ") + e.what(),
                  ErrorCode::no_resources);
  } catch (const std::exception& e) {
    // oneTBB has no type of its own for it.
    if (std::string_view(e.what()).starts_with("pthread_create has failed"))
      return report(kNoThread, ErrorCode::no_resources);
    return report(std::string("internal error: ") + e.what(), ErrorCode::internal);
  }
}

std::uint64_t parse_bytes(const std::string& text) {
  const auto fail = [&] {
    throw Error(ErrorCode::usage, "'" + text + "' is not an amount of memory; write for example 8G or 512M");
  };
  std::size_t used = 0;
  double value = 0;
  try {
    value = std::stod(text, &used);
  } catch (const std::exception&) {
    fail();
  }
  std::string unit = text.substr(used);
  std::transform(unit.begin(), unit.end(), unit.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (unit.ends_with("ib")) unit.resize(unit.size() - 2);
  if (unit.ends_with("b")) unit.pop_back();
  static const std::string units = "kmgt";
  int power = 0;
  if (!unit.empty()) {
    if (unit.size() != 1 || units.find(unit) == std::string::npos) fail();
    power = static_cast<int>(units.find(unit)) + 1;
  }
  value = std::ldexp(value, 10 * power);
  if (!(value >= 1) || value > 0x1p62) fail();
  return static_cast<std::uint64_t>(value);
}

void hide_memory() {
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  ::prctl(PR_SET_DUMPABLE, 0);
}

std::filesystem::path program_folder() { return std::filesystem::read_symlink("/proc/self/exe").parent_path(); }

int set_threads(int threads) {
  static std::unique_ptr<tbb::global_control> control;  // in force until it is destroyed
  if (threads > 0)
    control = std::make_unique<tbb::global_control>(tbb::global_control::max_allowed_parallelism,
                                                    static_cast<std::size_t>(threads));
  return threads > 0 ? threads : tbb::this_task_arena::max_concurrency();
}

ProgressLine::ProgressLine(std::string what, bool quiet)
    : what_(std::move(what)),
      quiet_(quiet),
      terminal_(isatty(STDERR_FILENO) != 0),
      start_(std::chrono::steady_clock::now()),
      last_(start_) {
  // The first report comes at once on a terminal, and after a while elsewhere.
  if (terminal_) last_ -= std::chrono::hours(1);
}

double ProgressLine::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

void ProgressLine::update(double fraction, const std::string& note) {
  const bool done = fraction >= 1;
  if (!done) check_stop();  // what is done is not undone
  if (quiet_) return;
  const auto now = std::chrono::steady_clock::now();
  const double since = std::chrono::duration<double>(now - last_).count(), elapsed = seconds();
  if (!done && since < (terminal_ ? 0.1 : 10.0)) return;
  if (done && !terminal_ && elapsed < 2) return;
  last_ = now;
  std::string left;
  if (done)
    left = "done in " + format_seconds(elapsed);
  else if (fraction > 0.005 && elapsed > 1)
    left = format_seconds(elapsed / fraction * (1 - fraction)) + " left";
  if (!terminal_) {
    print_error(fmt::format("{}: {:3.0f} %{}{}{}{}\n", what_, 100 * fraction, left.empty() ? "" : ", ", left,
                            note.empty() ? "" : ", ", note));
    return;
  }
  constexpr int kBar = 28;
  const int filled = static_cast<int>(kBar * std::clamp(fraction, 0.0, 1.0));
  print_error(fmt::format("\r\033[K{:<11} [{:#<{}}{:.<{}}] {:3.0f} %  {}  {}{}", what_, "", filled, "", kBar - filled,
                          100 * fraction, left, done ? "" : note, done ? "\n" : ""));
  open_ = !done;
}

ProgressLine::~ProgressLine() {
  if (open_) print_error("\n");
}

}  // namespace sotto::cli
