#include "cli/process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <thread>

#include "base/error.h"
#include "cli/console.h"

extern char** environ;

namespace sotto::cli {

namespace {

// The child ends when this process does, however that comes about: a server must not go on, with its memory and its
// hold on the output, for someone who is not there any more. Between fork and exec only what signals may interrupt.
pid_t start(char** args) {
  const pid_t parent = ::getpid();
  int failed[2];  // is closed by a successful exec, else brings errno
  if (::pipe2(failed, O_CLOEXEC) != 0) return -1;
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() == parent) ::execve(args[0], args, environ);  // else it ended before the line above
    (void)!::write(failed[1], &errno, sizeof errno);
    ::_exit(127);
  }
  int error = child < 0 ? errno : 0;
  ::close(failed[1]);
  ssize_t read = 0;
  while (child > 0 && (read = ::read(failed[0], &error, sizeof error)) < 0 && errno == EINTR) {
  }
  if (read > 0) ::waitpid(child, nullptr, 0);
  ::close(failed[0]);
  errno = error;
  return error == 0 ? child : -1;
}

}  // namespace

ProcessResult run_process(const std::vector<std::string>& argv) {
  std::vector<char*> args;
  args.reserve(argv.size() + 1);
  for (const auto& a : argv) args.push_back(const_cast<char*>(a.c_str()));
  args.push_back(nullptr);
  const auto begin = std::chrono::steady_clock::now();
  const pid_t child = start(args.data());
  if (child < 0) throw Error(ErrorCode::internal, "cannot start " + argv[0] + ": " + std::strerror(errno));
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
  result.wall_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

}  // namespace sotto::cli
