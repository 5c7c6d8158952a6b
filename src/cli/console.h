#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "base/memory.h"
#include "base/text.h"

namespace sotto::cli {

/// Set by Ctrl-C or SIGTERM; long work looks at it between steps.
const std::atomic<bool>& stop_requested();
/// Throws Error{interrupted} if it is set.
void check_stop();

/// While one exists, Ctrl-C ends the program at once, wherever it is: for long work that leaves nothing behind.
class AtOnce {
 public:
  AtOnce();
  ~AtOnce();
  AtOnce(const AtOnce&) = delete;
  AtOnce& operator=(const AtOnce&) = delete;
};

/// Runs a program's body: installs the signal handlers, turns errors into one line on stderr and the exit code of the
/// contract.
int guarded_main(const char* program, const std::function<int()>& body);

/// "note: TEXT" on stderr: what the user should know although the work goes on.
void print_note(const std::string& text);
/// Text on stderr, as it is.
void print_error(const std::string& text);

/// "8G", "512M", "1.5GiB", "2000000000" in bytes (powers of 1024). Throws Error{usage}.
std::uint64_t parse_bytes(const std::string& text);

/// There may be secrets in memory from now on: no core dumps of it, and nobody but root may look at it.
void hide_memory();

/// Folder of the running program.
std::filesystem::path program_folder();

/// Limits the threads of everything that follows; 0: one per hardware thread. Returns the number in force.
int set_threads(int threads);

/// One progress line on stderr: a bar with percent and time left on a terminal, otherwise a plain line now and then.
class ProgressLine {
 public:
  explicit ProgressLine(std::string what, bool quiet = false);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  /// fraction: 0..1 of the work; note: what is being done. Also the place where Ctrl-C is noticed.
  void update(double fraction, const std::string& note = {});
  void update(std::size_t done, std::size_t total) {
    update(total == 0 ? 1.0 : static_cast<double>(done) / static_cast<double>(total));
  }
  [[nodiscard]] double seconds() const;

 private:
  std::string what_;
  bool quiet_, terminal_, open_ = false;
  std::chrono::steady_clock::time_point start_, last_;
};

}  // namespace sotto::cli
