// Makes one call of a program fail: preloaded into it (LD_PRELOAD) by run_faults.py, and into the programs that it
// starts. Calls are counted by class while main runs: before and behind it no code of Sotto runs.
//
// SOTTO_FAULTS_STATE: a file of sizeof(State) zeros that all processes of a run share: how many calls of each class
//   there were, and what was struck. Without it nothing happens.
// SOTTO_FAULT=CLASS:NUMBER:WHAT: call NUMBER (from 1) of a class is struck once. WHAT: the number of an error (errno),
//   `short` (reads or writes half of what it was asked for), or `kill` (the process ends before the call).
// SOTTO_FAULTS_PLACES: a file that gets the number of the first memory call from every place of the program, that is,
//   with every chain of callers (64-bit numbers).
#include "strike.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <unwind.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace sotto_faults {

namespace {

constexpr std::array<const char*, kClasses> kNames = {"memory", "open",     "read",   "write", "name",  "remove",
                                                      "sync",   "truncate", "folder", "close", "change"};
struct State {
  std::array<std::atomic<std::uint64_t>, kClasses> counts;
  std::atomic<std::uint64_t> struck;
  std::array<char, 928> where;  // of the struck call: "function path", or for memory "function", then its callers
};
static_assert(sizeof(State) == 1024);

State* state = nullptr;
int wanted_class = -1, wanted_what = 0;
std::uint64_t wanted_number = 0;
int places = -1;
std::atomic<bool> in_main = false;
__attribute__((tls_model("initial-exec"))) thread_local bool busy = false;

__attribute__((constructor)) void start() {
  const char* path = std::getenv("SOTTO_FAULTS_STATE");
  if (path == nullptr) return;
  const int fd = static_cast<int>(syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC));
  const long at = syscall(SYS_mmap, nullptr, sizeof(State), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (fd < 0 || at == -1) _exit(99);
  syscall(SYS_close, fd);
  if (const char* text = std::getenv("SOTTO_FAULT")) {
    std::array<char, 16> name{}, what{};
    unsigned long number = 0;
    if (std::sscanf(text, "%15[a-z]:%lu:%15s", name.data(), &number, what.data()) != 3) _exit(99);
    for (int c = 0; c < kClasses; ++c)
      if (std::strcmp(name.data(), kNames[c]) == 0) wanted_class = c;
    wanted_what = std::strcmp(what.data(), "short") == 0  ? kShort
                  : std::strcmp(what.data(), "kill") == 0 ? 0
                                                          : std::atoi(what.data());
    wanted_number = number;
    if (wanted_class < 0) _exit(99);
  }
  if (const char* list = std::getenv("SOTTO_FAULTS_PLACES"))
    places = static_cast<int>(syscall(SYS_openat, AT_FDCWD, list, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  state = reinterpret_cast<State*>(at);
}

}  // namespace

void set_counting(bool on) { in_main = on; }

int strike(Class c, const char* function, const char* path, int fd) {
  if (state == nullptr || !in_main || ++state->counts[c] != wanted_number || c != wanted_class) return 0;
  std::array<char, 256> link{};
  if (path == nullptr && fd >= 0) {
    std::array<char, 32> name{};
    std::snprintf(name.data(), name.size(), "/proc/self/fd/%d", fd);
    if (readlink(name.data(), link.data(), link.size() - 1) > 0) path = link.data();
  }
  std::snprintf(state->where.data(), state->where.size(), "%s %s", function, path == nullptr ? "" : path);
  ++state->struck;
  if (wanted_what == 0) {
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) pause();
  }
  return wanted_what;
}

int strike_change(Class c, const char* function, const char* path, int fd) {
  const int what = strike(change, function, path, fd);
  const int own = strike(c, function, path, fd);
  return what != 0 ? what : own;
}

namespace {

struct Chain {
  std::uint64_t hash = 14695981039346656037u;  // FNV-1a
  int left = 40;                               // callers
};

_Unwind_Reason_Code add_caller(_Unwind_Context* context, void* chain) {
  auto& c = *static_cast<Chain*>(chain);
  c.hash = (c.hash ^ _Unwind_GetIP(context)) * 1099511628211u;
  return --c.left > 0 ? _URC_NO_REASON : _URC_END_OF_STACK;
}

// Notes the number of this memory call if nobody in this chain of callers made one before.
void note_place(std::uint64_t number) {
  constexpr std::size_t kMost = std::size_t{1} << 18;
  static std::array<std::atomic<std::uint64_t>, kMost> seen;
  Chain chain;
  _Unwind_Backtrace(add_caller, &chain);
  for (std::size_t at = chain.hash % kMost, tries = 0; tries < kMost; at = (at + 1) % kMost, ++tries) {
    std::uint64_t there = 0;
    if (seen[at].compare_exchange_strong(there, chain.hash)) {
      syscall(SYS_write, places, &number, sizeof number);
      return;
    }
    if (there == chain.hash) return;
  }
}

// Adds "FILE+OFFSET" of a caller to what is told of the struck call.
_Unwind_Reason_Code tell_caller(_Unwind_Context* context, void*) {
  Dl_info info{};
  const auto at = static_cast<std::uintptr_t>(_Unwind_GetIP(context));
  const std::size_t used = std::strlen(state->where.data());
  if (dladdr(reinterpret_cast<void*>(at), &info) == 0 || used + 1 >= state->where.size()) return _URC_END_OF_STACK;
  std::array<char, 256> program{};  // whose first argument need not be its path
  if (std::strstr(info.dli_fname, ".so") == nullptr &&
      readlink("/proc/self/exe", program.data(), program.size() - 1) > 0)
    info.dli_fname = program.data();
  std::snprintf(state->where.data() + used, state->where.size() - used, " %s+0x%lx", info.dli_fname,
                static_cast<unsigned long>(at - reinterpret_cast<std::uintptr_t>(info.dli_fbase)));
  return _URC_NO_REASON;
}

}  // namespace

bool no_memory(const char* function) {
  if (busy) return false;  // the unwinder's own
  if (places >= 0 && in_main) {
    busy = true;
    note_place(state->counts[memory] + 1);
    busy = false;
  }
  if (strike(memory, function, nullptr) == 0) return false;
  busy = true;
  _Unwind_Backtrace(tell_caller, nullptr);
  busy = false;
  errno = ENOMEM;
  return true;
}

}  // namespace sotto_faults
