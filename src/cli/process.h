#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sotto::cli {

/// How a child process ended.
struct ProcessResult {
  int exit_code = 0;  ///< 128 + signal if one ended it
  double wall_seconds = 0;
};

/// Runs argv[0] with these arguments and waits; Ctrl-C is passed on, and the process ends with this one even if this
/// one is killed. To be called by the main thread. Throws Error{internal} if it cannot be started.
ProcessResult run_process(const std::vector<std::string>& argv);

}  // namespace sotto::cli
