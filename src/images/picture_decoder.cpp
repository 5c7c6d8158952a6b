#include "images/picture_decoder.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <thread>
#include <utility>

#include "base/shortage.h"
#include "base/text.h"
#include "decode/protocol.h"

namespace sotto::images {

namespace {

using decode::Answer, decode::AnswerKind;

// How often it is looked at whether somebody wants the program to end.
constexpr std::chrono::milliseconds kGlance{50};

// A file descriptor that is closed.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

// A process gets so much of the processor, then the next one takes its place: the limit that the system holds it to
// (decode/confine.h) leaves every picture at least as much again.
constexpr time_t kMostSeconds = 120;

// The time of a processor that the system leaves each process, if any, in seconds.
rlim_t processor_limit() {
  rlimit now{};
  return ::getrlimit(RLIMIT_CPU, &now) == 0 ? now.rlim_max : RLIM_INFINITY;
}

[[noreturn]] void cannot_start(const std::filesystem::path& program, const std::string& why,
                               ErrorCode code = ErrorCode::internal) {
  throw Error(code, "cannot start " + program.string() + ": " + why);
}
[[noreturn]] void cannot_start(const std::filesystem::path& program, int error) {
  cannot_start(program, std::strerror(error), is_shortage(error) ? ErrorCode::no_resources : ErrorCode::internal);
}

// Waits for the end of a process and returns its status; 0 if somebody else asked for that. One that does not end by
// itself is ended.
int end_of(pid_t process, bool at_once) {
  int status = 0;
  for (int patience = at_once ? 0 : 200; patience > 0; --patience) {
    const pid_t ended = ::waitpid(process, &status, WNOHANG);
    if (ended == process) return status;
    if (ended < 0 && errno != EINTR) return 0;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  ::kill(process, SIGKILL);
  while (::waitpid(process, &status, 0) < 0)
    if (errno != EINTR) return 0;
  return status;
}

// Starts a program with descriptors 0 and 1 on the socket and no others, in a process group of its own: what stops this
// program is none of its business. Returns 0 or an error.
int spawn(const std::filesystem::path& program, int socket, pid_t& process) {
  // First, as it may throw.
  std::string name = program.string(), libraries = "LD_LIBRARY_PATH=";
  const char* path = std::getenv("LD_LIBRARY_PATH");
  if (path != nullptr) libraries += path;
  char* arguments[] = {name.data(), nullptr};
  char* environment[] = {path != nullptr ? libraries.data() : nullptr, nullptr};
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&files);
  posix_spawnattr_init(&attributes);
  int error = 0;
  const auto require = [&error](int result) { error = error != 0 ? error : result; };
  require(posix_spawn_file_actions_adddup2(&files, socket, STDIN_FILENO));
  require(posix_spawn_file_actions_adddup2(&files, socket, STDOUT_FILENO));
  require(posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0));
  require(posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1));
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  if (error == 0) error = ::posix_spawn(&process, name.c_str(), &files, &attributes, arguments, environment);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  return error;
}

}  // namespace

PictureDecoder::PictureDecoder(std::filesystem::path program, std::chrono::seconds patience,
                               std::function<void()> check_stop)
    : program_(std::move(program)), patience_(patience), check_stop_(std::move(check_stop)) {}

PictureDecoder::~PictureDecoder() { stop(); }

void PictureDecoder::start() {
  if (program_.empty()) program_ = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "sotto-decode";
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) cannot_start(program_, errno);
  Descriptor ours(ends[0]);
  {
    const Descriptor theirs(ends[1]);
    pid_t process = 0;  // which says nothing if none is started
    if (const int error = spawn(program_, theirs.get(), process); error != 0) cannot_start(program_, error);
    process_ = process;
  }
  socket_ = ours.release();
  decode::Hello hello;
  try {
    receive(&hello, sizeof hello);
  } catch (const Error& e) {
    if (e.code() == ErrorCode::interrupted) throw;
    cannot_start(program_, e.what());
  }
  if (hello.version != decode::kProtocolVersion) {
    stop();
    cannot_start(program_, "it is of another version");
  }
  if (hello.confinement == decode::Confinement::none) {
    stop();
    cannot_start(program_, "this system does not let it give up its rights: limits of memory and time, for example");
  }
  weak_ = hello.confinement != decode::Confinement::system_calls;
}

void PictureDecoder::stop() {
  if (socket_ >= 0) ::close(std::exchange(socket_, -1));
  if (process_ != 0) end_of(std::exchange(process_, 0), true);
}

bool PictureDecoder::used_up() const {
  clockid_t clock{};
  timespec used{};
  return ::clock_getcpuclockid(process_, &clock) == 0 && ::clock_gettime(clock, &used) == 0 &&
         used.tv_sec >= static_cast<time_t>(std::min<rlim_t>(kMostSeconds, processor_limit() / 2));
}

void PictureDecoder::fail(const std::string& what, ErrorCode code) {
  stop();
  throw Error(code, what);
}

// The other end of the socket is closed: the process ended, or is about to.
void PictureDecoder::fail_as_ended() {
  ::close(std::exchange(socket_, -1));
  const int status = end_of(std::exchange(process_, 0), false);
  const int number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  // With a limit of a second there is no time left to be told of it.
  const rlim_t most = processor_limit();
  if ((number == SIGXCPU && most < 2 * kMostSeconds) || (number == SIGKILL && most <= 1))
    fail("it takes too long to decode for the limit of " + std::to_string(most) +
             " s of processor time that the system sets",
         ErrorCode::no_resources);
  if (number == SIGXCPU) fail("it takes too long to decode");
  if (number == SIGSYS) fail("its decoder was ended when it tried to do what it may not");
  fail("its decoder " + (number != 0 ? "was ended by signal " + std::to_string(number)
                                     : "ended with exit code " + std::to_string(WEXITSTATUS(status))));
}

void PictureDecoder::wait_until_ready(short events) {
  const auto end = std::chrono::steady_clock::now() + patience_;
  pollfd ready{socket_, events, 0};
  // A signal may come just before the call, or to another thread: it need not end the wait.
  const auto glance = [&] { return ::poll(&ready, 1, static_cast<int>(std::min(kGlance, patience_).count())); };
  for (int found = glance(); found == 0 || (found < 0 && errno == EINTR); found = glance()) {
    try {
      if (check_stop_) check_stop_();
    } catch (...) {  // in the middle of a picture
      stop();
      throw;
    }
    if (std::chrono::steady_clock::now() >= end) fail("its decoder does not answer");
  }
}

void PictureDecoder::send(const void* data, std::size_t bytes) {
  const auto* at = static_cast<const unsigned char*>(data);
  while (bytes > 0) {
    wait_until_ready(POLLOUT);
    const ssize_t done = ::send(socket_, at, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (done < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (done < 0) fail_as_ended();
    at += done;
    bytes -= static_cast<std::size_t>(done);
  }
}

void PictureDecoder::receive(void* data, std::size_t bytes) {
  auto* at = static_cast<unsigned char*>(data);
  while (bytes > 0) {
    wait_until_ready(POLLIN);
    const ssize_t done = ::recv(socket_, at, bytes, MSG_DONTWAIT);
    if (done < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (done <= 0) fail_as_ended();
    at += done;
    bytes -= static_cast<std::size_t>(done);
  }
}

Image PictureDecoder::decode(std::span<const unsigned char> file,
                             const std::function<void(std::uint64_t width, std::uint64_t height)>& check_size) {
  check(file.size() <= decode::kMostFileBytes, "a picture that is too large to decode");
  if (process_ != 0 && used_up()) stop();
  if (process_ == 0) start();
  const std::uint64_t bytes = file.size();
  send(&bytes, sizeof bytes);
  send(file.data(), file.size());
  Answer size;
  if (receive_answer(size, AnswerKind::size); size.count != 0) fail_as_nonsense();
  try {
    check_size(size.width, size.height);
  } catch (...) {  // it waits for an answer that does not come
    stop();
    throw;
  }
  send(&decode::kGoOn, sizeof decode::kGoOn);
  Answer picture;
  receive_answer(picture, AnswerKind::pixels);
  if (picture.width != size.width || picture.height != size.height || (picture.count != 1 && picture.count != 3))
    fail_as_nonsense();
  Image image{"", -1, static_cast<int>(picture.count), static_cast<int>(size.height), static_cast<int>(size.width), {}};
  image.pixels.resize(std::size_t{picture.count} * size.height * size.width);
  receive(image.pixels.data(), image.pixels.size());
  return image;
}

void PictureDecoder::receive_answer(Answer& answer, AnswerKind expected) {
  receive(&answer, sizeof answer);
  if (answer.kind == expected) return;
  if (answer.kind == AnswerKind::no_memory)
    throw Error(ErrorCode::no_resources, "there is not enough memory to decode it");
  if (answer.kind != AnswerKind::refused || answer.count == 0 || answer.count > decode::kMostTextBytes)
    fail_as_nonsense();
  std::string why(answer.count, '\0');
  receive(why.data(), why.size());
  throw Error(ErrorCode::bad_input, readable_text(std::move(why)));
}

void PictureDecoder::fail_as_nonsense() { fail("its decoder gave an answer that makes no sense"); }

}  // namespace sotto::images
