#pragma once

namespace sotto::cli {

/// From here on a program that cannot go on, because an exception may not be passed on (memory that runs out in a
/// destructor, say), says so in one line on stderr. Where memory ran out, it ends with the exit code of
/// ErrorCode::no_resources; temporary files stay, and the next run removes them. program: its name, a literal.
void install_last_words(const char* program);

/// Whether memory ran out since, whatever became of that.
bool memory_ran_out();

}  // namespace sotto::cli
