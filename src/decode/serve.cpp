#include "decode/serve.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <new>
#include <string>
#include <vector>

#include "base/error.h"

namespace sotto::decode {

namespace {

// Whoever asked is there no more, or makes no sense.
struct Gone {
  int exit_code;
};
// False at the end of what comes in.
bool read_all(void* data, std::size_t bytes) {
  auto* at = static_cast<unsigned char*>(data);
  while (bytes > 0) {
    const ssize_t done = ::read(STDIN_FILENO, at, bytes);
    if (done <= 0) return false;
    at += done;
    bytes -= static_cast<std::size_t>(done);
  }
  return true;
}

bool skip_all(std::uint64_t bytes) {
  std::array<unsigned char, 4096> piece;
  for (; bytes > 0; bytes -= std::min<std::uint64_t>(bytes, piece.size()))
    if (!read_all(piece.data(), std::min<std::uint64_t>(bytes, piece.size()))) return false;
  return true;
}

void write_all(const void* data, std::size_t bytes) {
  const auto* at = static_cast<const unsigned char*>(data);
  while (bytes > 0) {
    const ssize_t done = ::write(STDOUT_FILENO, at, bytes);
    if (done <= 0) throw Gone{1};
    at += done;
    bytes -= static_cast<std::size_t>(done);
  }
}

void write_answer(const Answer& answer) { write_all(&answer, sizeof answer); }

void refuse(const std::string& why) {
  const std::size_t bytes = std::min<std::size_t>(why.size(), kMostTextBytes);
  write_answer({AnswerKind::refused, static_cast<std::uint32_t>(bytes), 0, 0});
  write_all(why.data(), bytes);
}

// Whether a limit was there already that leaves this process less memory than its own one. To be asked before that.
bool has_less_memory(const Limits& limits) {
  rlimit now{};
  return ::getrlimit(RLIMIT_AS, &now) == 0 && now.rlim_max < limits.memory;
}

void answer_no_memory(bool less_memory) {
  if (less_memory)
    write_answer({AnswerKind::no_memory, 0, 0, 0});
  else
    refuse("it takes too much memory to decode");
}

// The other side knows how large a picture may be. If it is too large, it closes the socket.
void ask_about_size(std::uint64_t width, std::uint64_t height) {
  write_answer({AnswerKind::size, 0, static_cast<std::uint32_t>(std::min<std::uint64_t>(width, UINT32_MAX)),
                static_cast<std::uint32_t>(std::min<std::uint64_t>(height, UINT32_MAX))});
  std::uint32_t reply = 0;
  if (!read_all(&reply, sizeof reply)) throw Gone{0};
  if (reply != kGoOn) throw Gone{1};
}

void answer(const DecodeFn& decode, std::span<const unsigned char> file, bool less_memory) {
  try {
    const Picture picture = decode(file, ask_about_size);
    write_answer({AnswerKind::pixels, static_cast<std::uint32_t>(picture.channels),
                  static_cast<std::uint32_t>(picture.width), static_cast<std::uint32_t>(picture.height)});
    write_all(picture.pixels.data(), picture.pixels.size());
  } catch (const std::bad_alloc&) {
    answer_no_memory(less_memory);
  } catch (const Error& e) {
    refuse(e.what());
  }
}

}  // namespace

int serve(const DecodeFn& decode, const Limits& limits) {
  const bool less_memory = has_less_memory(limits);
  const Hello hello{kProtocolVersion, confine(limits)};
  try {
    write_all(&hello, sizeof hello);
    if (hello.confinement == Confinement::none) return 1;
    std::vector<unsigned char> file;
    std::uint64_t bytes = 0;
    while (read_all(&bytes, sizeof bytes)) {
      if (bytes > kMostFileBytes) return 1;
      try {
        file.resize(bytes);
      } catch (const std::bad_alloc&) {
        if (!skip_all(bytes)) return 1;
        answer_no_memory(less_memory);
        continue;
      }
      if (!read_all(file.data(), file.size())) return 1;
      answer(decode, file, less_memory);
    }
  } catch (const Gone& g) {
    return g.exit_code;
  }
  return 0;
}

}  // namespace sotto::decode
