// The functions of the C library that are counted, and fail where strike.h says so. Behind them stand system calls and
// the allocator's other names, so that nothing is counted twice.
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "strike.h"

extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
}

using namespace sotto_faults;

namespace {

template <class F>
F* next(const char* name) {
  return reinterpret_cast<F*>(dlsym(RTLD_NEXT, name));
}

bool creates(int flags) { return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE; }

mode_t mode_of(int flags, va_list more) { return creates(flags) ? va_arg(more, mode_t) : 0; }

int do_open(const char* function, int folder_fd, const char* path, int flags, mode_t mode) {
  const int what = creates(flags) ? strike_change(open_file, function, path) : strike(open_file, function, path);
  if (what > 0) return errno = what, -1;
  return static_cast<int>(syscall(SYS_openat, folder_fd, path, flags, mode));
}

FILE* do_fopen(const char* function, const char* path, const char* mode) {
  const bool writes = strpbrk(mode, "wa+") != nullptr;
  const int what = writes ? strike_change(open_file, function, path) : strike(open_file, function, path);
  if (what > 0) return errno = what, nullptr;
  static auto* const real = next<FILE*(const char*, const char*)>("fopen64");
  return real(path, mode);
}

// The length that a struck call is left with, or -1 and errno.
ssize_t length_of(int what, size_t length) {
  if (what > 0) return errno = what, -1;
  return static_cast<ssize_t>(what == kShort ? std::max<size_t>(length / 2, std::min<size_t>(length, 1)) : length);
}

// The system call, unless it was struck.
template <class... A>
int act(int what, long number, A... arguments) {
  if (what > 0) return errno = what, -1;
  return static_cast<int>(syscall(number, arguments...));
}

ssize_t do_read(const char* function, int fd, void* to, size_t bytes) {
  const ssize_t length = length_of(strike(read_file, function, nullptr, fd), bytes);
  return length < 0 ? -1 : syscall(SYS_read, fd, to, length);
}

ssize_t do_pread(const char* function, int fd, void* to, size_t bytes, off_t offset) {
  const ssize_t length = length_of(strike(read_file, function, nullptr, fd), bytes);
  return length < 0 ? -1 : syscall(SYS_pread64, fd, to, length, offset);
}

ssize_t do_pwrite(const char* function, int fd, const void* from, size_t bytes, off_t offset) {
  const ssize_t length = length_of(strike_change(write_file, function, nullptr, fd), bytes);
  return length < 0 ? -1 : syscall(SYS_pwrite64, fd, from, length, offset);
}

void* do_mmap(const char* function, void* at, size_t bytes, int protection, int flags, int fd, off_t offset) {
  if ((flags & MAP_ANONYMOUS) != 0 && no_memory(function)) return MAP_FAILED;
  return reinterpret_cast<void*>(syscall(SYS_mmap, at, bytes, protection, flags, fd, offset));
}

using Main = int(int, char**, char**);
Main* real_main = nullptr;

int counted_main(int argc, char** argv, char** environment) {
  set_counting(true);
  const int code = real_main(argc, argv, environment);
  set_counting(false);
  return code;
}

}  // namespace

// What is replaced, under every name by which a program may call it.
extern "C" {

int __libc_start_main(Main* main, int argc, char** argv, void (*init)(), void (*fini)(), void (*rtld_fini)(),
                      void* stack) {
  real_main = main;
  using Start = int(Main*, int, char**, void (*)(), void (*)(), void (*)(), void*);
  return next<Start>("__libc_start_main")(counted_main, argc, argv, init, fini, rtld_fini, stack);
}

void* malloc(size_t bytes) noexcept { return no_memory("malloc") ? nullptr : __libc_malloc(bytes); }
void* calloc(size_t count, size_t bytes) noexcept {
  return no_memory("calloc") ? nullptr : __libc_calloc(count, bytes);
}
void* realloc(void* old, size_t bytes) noexcept { return no_memory("realloc") ? nullptr : __libc_realloc(old, bytes); }
void* memalign(size_t alignment, size_t bytes) noexcept {
  return no_memory("memalign") ? nullptr : __libc_memalign(alignment, bytes);
}
void* aligned_alloc(size_t alignment, size_t bytes) noexcept {
  return no_memory("aligned_alloc") ? nullptr : __libc_memalign(alignment, bytes);
}
int posix_memalign(void** to, size_t alignment, size_t bytes) noexcept {
  if (no_memory("posix_memalign")) return ENOMEM;
  *to = __libc_memalign(alignment, bytes);
  return *to == nullptr ? ENOMEM : 0;
}
void* mmap(void* at, size_t bytes, int protection, int flags, int fd, off_t offset) noexcept {
  return do_mmap("mmap", at, bytes, protection, flags, fd, offset);
}
void* mmap64(void* at, size_t bytes, int protection, int flags, int fd, off_t offset) noexcept {
  return do_mmap("mmap64", at, bytes, protection, flags, fd, offset);
}

#define OPENS(NAME)                                     \
  int NAME(const char* path, int flags, ...) {          \
    va_list more;                                       \
    va_start(more, flags);                              \
    const mode_t mode = mode_of(flags, more);           \
    va_end(more);                                       \
    return do_open(#NAME, AT_FDCWD, path, flags, mode); \
  }
OPENS(open)
OPENS(open64)
#undef OPENS
#define OPENS_AT(NAME)                                     \
  int NAME(int folder, const char* path, int flags, ...) { \
    va_list more;                                          \
    va_start(more, flags);                                 \
    const mode_t mode = mode_of(flags, more);              \
    va_end(more);                                          \
    return do_open(#NAME, folder, path, flags, mode);      \
  }
OPENS_AT(openat)
OPENS_AT(openat64)
#undef OPENS_AT
int __open_2(const char* path, int flags) { return do_open("open", AT_FDCWD, path, flags, 0); }
int __open64_2(const char* path, int flags) { return do_open("open64", AT_FDCWD, path, flags, 0); }
int __openat_2(int folder, const char* path, int flags) { return do_open("openat", folder, path, flags, 0); }
FILE* fopen(const char* path, const char* mode) { return do_fopen("fopen", path, mode); }
FILE* fopen64(const char* path, const char* mode) { return do_fopen("fopen64", path, mode); }
DIR* opendir(const char* path) {
  if (const int what = strike(open_file, "opendir", path); what > 0) return errno = what, nullptr;
  return next<DIR*(const char*)>("opendir")(path);
}
int mkostemp(char* name, int flags) {
  if (const int what = strike_change(open_file, "mkostemp", name); what > 0) return errno = what, -1;
  return next<int(char*, int)>("mkostemp")(name, flags);
}

ssize_t read(int fd, void* to, size_t bytes) { return do_read("read", fd, to, bytes); }
ssize_t __read_chk(int fd, void* to, size_t bytes, size_t) { return do_read("read", fd, to, bytes); }
ssize_t pread(int fd, void* to, size_t bytes, off_t at) { return do_pread("pread", fd, to, bytes, at); }
ssize_t pread64(int fd, void* to, size_t bytes, off_t at) { return do_pread("pread64", fd, to, bytes, at); }
ssize_t __pread_chk(int fd, void* to, size_t bytes, off_t at, size_t) { return do_pread("pread", fd, to, bytes, at); }
ssize_t __pread64_chk(int fd, void* to, size_t bytes, off_t at, size_t) {
  return do_pread("pread64", fd, to, bytes, at);
}

ssize_t write(int fd, const void* from, size_t bytes) {
  if (fd == STDOUT_FILENO || fd == STDERR_FILENO) return syscall(SYS_write, fd, from, bytes);  // what the programs say
  const ssize_t length = length_of(strike_change(write_file, "write", nullptr, fd), bytes);
  return length < 0 ? -1 : syscall(SYS_write, fd, from, length);
}
ssize_t pwrite(int fd, const void* from, size_t bytes, off_t at) { return do_pwrite("pwrite", fd, from, bytes, at); }
ssize_t pwrite64(int fd, const void* from, size_t bytes, off_t at) {
  return do_pwrite("pwrite64", fd, from, bytes, at);
}
ssize_t writev(int fd, const iovec* parts, int count) {
  const int what = strike_change(write_file, "writev", nullptr, fd);
  if (what > 0) return errno = what, -1;
  return what == kShort ? syscall(SYS_write, fd, parts->iov_base, parts->iov_len)
                        : syscall(SYS_writev, fd, parts, count);
}

int fsync(int fd) { return act(strike_change(sync_file, "fsync", nullptr, fd), SYS_fsync, fd); }
int fdatasync(int fd) { return act(strike_change(sync_file, "fdatasync", nullptr, fd), SYS_fdatasync, fd); }
int ftruncate(int fd, off_t size) noexcept {
  return act(strike_change(truncate_file, "ftruncate", nullptr, fd), SYS_ftruncate, fd, size);
}
int ftruncate64(int fd, off_t size) noexcept {
  return act(strike_change(truncate_file, "ftruncate64", nullptr, fd), SYS_ftruncate, fd, size);
}
int rename(const char* from, const char* to) noexcept {
  return act(strike_change(name_file, "rename", to), SYS_rename, from, to);
}
int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) noexcept {
  return act(strike_change(name_file, "renameat2", to), SYS_renameat2, from_folder, from, to_folder, to, flags);
}
int link(const char* from, const char* to) noexcept {
  return act(strike_change(name_file, "link", to), SYS_link, from, to);
}
int unlink(const char* path) noexcept { return act(strike_change(remove_file, "unlink", path), SYS_unlink, path); }
int unlinkat(int folder_fd, const char* path, int flags) noexcept {
  return act(strike_change(remove_file, "unlinkat", path), SYS_unlinkat, folder_fd, path, flags);
}
int rmdir(const char* path) noexcept { return act(strike_change(remove_file, "rmdir", path), SYS_rmdir, path); }
int mkdir(const char* path, mode_t mode) noexcept {
  return act(strike_change(folder, "mkdir", path), SYS_mkdir, path, mode);
}
char* mkdtemp(char* name) noexcept {
  if (const int what = strike_change(folder, "mkdtemp", name); what > 0) return errno = what, nullptr;
  return next<char*(char*)>("mkdtemp")(name);
}
int close(int fd) {
  const int what = strike(close_file, "close", nullptr, fd);
  const int result = static_cast<int>(syscall(SYS_close, fd));  // Linux closes it whatever it reports
  return what > 0 ? (errno = what, -1) : result;
}

}  // extern "C"
