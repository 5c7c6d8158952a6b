#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <string>

namespace sotto::test {

/// What somebody would do who took over a decoder. Returns whether it could be done.
inline bool attempt(const std::string& deed) {
  if (deed == "open a file") return ::open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0;
  if (deed == "make a file") return ::open("/tmp", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600) >= 0;
  if (deed == "reach the network") return ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0;
  if (deed == "copy a descriptor") return ::dup(STDOUT_FILENO) >= 0;
  if (deed == "write elsewhere") return ::write(STDERR_FILENO, "", 0) >= 0;
  if (deed == "lift a limit") {
    const rlimit much{RLIM_INFINITY, RLIM_INFINITY};
    return ::setrlimit(RLIMIT_CORE, &much) == 0;
  }
  if (deed == "run code that it wrote") {
    void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return page != MAP_FAILED && ::munmap(page, 4096) == 0;
  }
  if (deed == "look for its parent") return ::kill(::getppid(), 0) == 0;
  if (deed == "start a process") {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(0);
    return child > 0 && ::waitpid(child, nullptr, 0) == child;
  }
  return false;
}

}  // namespace sotto::test
