// Stands for sotto-decode after somebody took it over: a picture is the name of what it does.
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "base/error.h"
#include "decode/serve.h"
#include "support/misbehaviour.h"

namespace sotto::decode {
namespace {

void say(const void* data, std::size_t bytes) { (void)!::write(STDOUT_FILENO, data, bytes); }
void say(const Answer& answer) { say(&answer, sizeof answer); }

Picture misbehave(std::span<const unsigned char> file, const SizeCheck& check_size) {
  const std::string what(file.begin(), file.end());
  if (what == "refuse") throw Error(ErrorCode::bad_input, "it is no picture\n\x1b[2Jof mine");
  if (what == "say a lot") throw Error(ErrorCode::bad_input, std::string(5000, 'x'));
  if (what == "say nothing") throw Error(ErrorCode::bad_input, "");
  if (what == "announce a long text") say({AnswerKind::refused, 1U << 31, 0, 0});
  if (what == "give pixels unasked") say({AnswerKind::pixels, 3, 1U << 31, 1U << 31});
  if (what == "talk nonsense") say("these are no answers at all", 27);
  if (what == "end") ::_exit(7);
  if (what == "crash") *static_cast<volatile int*>(nullptr) = 0;
  if (what == "wait") (void)!::read(STDIN_FILENO, std::string(1, ' ').data(), 1);
  if (what == "toil")
    for (volatile bool on = true; on;) {
    }
  // No constant: clang 16 crashes when it makes such a vector itself.
  if (what == "take memory") return {1, 1, 1, std::vector<std::uint8_t>(what.size() << 36)};
  check_size(2, 1);
  if (what == "give more") return {1, 4, 4, std::vector<std::uint8_t>(16)};
  if (what == "give many channels") return {200, 1, 2, std::vector<std::uint8_t>(400)};
  if (what == "give less") {
    say({AnswerKind::pixels, 1, 2, 1});
    ::_exit(0);
  }
  if (what == "behave") return {1, 1, 2, {5, 6}};
  return {1, 1, 2, {static_cast<std::uint8_t>(test::attempt(what) ? 1 : 0), 0}};
}

}  // namespace
}  // namespace sotto::decode

int main() { ::_exit(sotto::decode::serve(sotto::decode::misbehave, {.cpu_seconds = 1})); }
