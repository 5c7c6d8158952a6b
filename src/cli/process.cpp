#include "cli/process.h"

#include <spawn.h>
#include <sys/wait.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <thread>

#include "base/error.h"
#include "cli/console.h"

extern char** environ;

namespace sotto::cli {

ProcessResult run_process(const std::vector<std::string>& argv) {
  std::vector<char*> args;
  args.reserve(argv.size() + 1);
  for (const auto& a : argv) args.push_back(const_cast<char*>(a.c_str()));
  args.push_back(nullptr);
  const auto start = std::chrono::steady_clock::now();
  pid_t child = 0;
  if (const int error = ::posix_spawn(&child, args[0], nullptr, nullptr, args.data(), environ); error != 0)
    throw Error(ErrorCode::internal, "cannot start " + argv[0] + ": " + std::strerror(error));
  int status = 0;
  // Polled, so that a signal to this process alone reaches the child soon, whenever it comes.
  // Ctrl-C goes to both processes: the child gets half a second to end by itself before it is told again.
  int patience = 50;
  for (;;) {
    const pid_t ended = ::waitpid(child, &status, WNOHANG);
    if (ended == child) break;
    if (ended < 0 && errno != EINTR)
      throw Error(ErrorCode::internal, std::string("cannot wait for a process: ") + std::strerror(errno));
    if (stop_requested() && patience > 0 && --patience == 0) ::kill(child, SIGTERM);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  ProcessResult result;
  result.wall_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

}  // namespace sotto::cli
