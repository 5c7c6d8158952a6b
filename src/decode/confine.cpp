#include "decode/confine.h"

#include <linux/capability.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

namespace sotto::decode {

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#elif defined(__has_feature)
constexpr bool kSanitized = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
constexpr bool kSanitized = false;
#endif

// Never above a limit that is there already. margin: from where the process is told to where it is ended; a second is
// the least that the system keeps.
bool limit(__rlimit_resource_t resource, rlim_t most, rlim_t margin = 0) {
  rlimit now{};
  if (::getrlimit(resource, &now) != 0) return false;
  const rlim_t end = std::min(most + margin, now.rlim_max);
  now = {std::min(most, end > margin ? end - margin : end), end};
  return ::setrlimit(resource, &now) == 0;
}

// What is set up at its first use, with system calls that are not left later.
void warm_up() {
  try {
    throw 0;  // the unwinder
  } catch (int) {
  }
}

bool drop_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  return ::syscall(SYS_capset, &header, none) == 0;
}

bool filter_system_calls() {
  const std::unique_ptr<void, void (*)(scmp_filter_ctx)> filter(seccomp_init(SCMP_ACT_KILL_PROCESS), seccomp_release);
  if (!filter) return false;
  scmp_filter_ctx f = filter.get();
  int failed = 0;
  const auto allow = [&](int call) { failed |= seccomp_rule_add(f, SCMP_ACT_ALLOW, call, 0); };
  failed |= seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(read), 1, SCMP_A0(SCMP_CMP_EQ, STDIN_FILENO));
  failed |= seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(write), 1, SCMP_A0(SCMP_CMP_EQ, STDOUT_FILENO));
  // Memory, but of no file, and never to be executed.
  failed |= seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
                             SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, MAP_ANONYMOUS));
  for (const int call :
       {SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(exit), SCMP_SYS(exit_group)})
    allow(call);
  // Libraries look for what they can do without: /proc/cpuinfo on some processors.
  failed |= seccomp_rule_add(f, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(openat), 0);
  return failed == 0 && seccomp_load(f) == 0;
}

}  // namespace

Confinement confine(const Limits& limits) {
  warm_up();
  const bool limited = ::prctl(PR_SET_DUMPABLE, 0) == 0 && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
                       limit(RLIMIT_CORE, 0) && limit(RLIMIT_CPU, limits.cpu_seconds, 1) &&
                       (kSanitized || limit(RLIMIT_AS, limits.memory)) && limit(RLIMIT_FSIZE, 0) &&
                       limit(RLIMIT_NPROC, 0) && limit(RLIMIT_NOFILE, 0) &&
                       drop_capabilities();  // with them root may lift limits again
  if (!limited) return Confinement::none;
  return !kSanitized && filter_system_calls() ? Confinement::system_calls : Confinement::limits;
}

}  // namespace sotto::decode
