#include "cli/last_words.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>

#include "base/error.h"

namespace sotto::cli {

namespace {

std::atomic<bool> ran_out{false};
std::array<char, 160> no_memory = {}, defect = {};  // made beforehand: there may be no memory for it

[[noreturn]] void on_new_failure() {
  ran_out = true;
  throw std::bad_alloc();
}

// Some calls of std::terminate leave no exception to ask, so that the note of on_new_failure has to do.
bool is_about_memory() {
  try {
    if (const std::exception_ptr e = std::current_exception()) std::rethrow_exception(e);
  } catch (const std::bad_alloc&) {
    return true;
  } catch (...) {
    return false;
  }
  return ran_out;
}

[[noreturn]] void on_terminate() {
  const bool memory = is_about_memory();
  const char* line = memory ? no_memory.data() : defect.data();
  (void)!::write(STDERR_FILENO, line, std::strlen(line));
  if (!memory) std::abort();
  ::_exit(static_cast<int>(ErrorCode::no_resources));
}

}  // namespace

bool memory_ran_out() { return ran_out; }

void install_last_words(const char* program) {
  std::snprintf(no_memory.data(), no_memory.size(),
                "%s: not enough memory to end properly; use a smaller --batch, or a machine with more\n", program);
  std::snprintf(defect.data(), defect.size(), "%s: internal error: an exception was not caught\n", program);
  std::set_new_handler(on_new_failure);
  std::set_terminate(on_terminate);
}

}  // namespace sotto::cli
