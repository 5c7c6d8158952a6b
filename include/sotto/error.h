#pragma once

#include <stdexcept>
#include <string>

namespace sotto {

/// What went wrong. The values are the exit codes of the `sotto` programs.
enum class ErrorCode : int {
  internal = 1,       ///< A defect in Sotto or the operating system failed us.
  usage = 2,          ///< The caller asks for something that does not make sense.
  bad_input = 3,      ///< A file is missing, truncated, corrupted, of another version, or holds something unsupported.
  wrong_key = 4,      ///< Key, plan and ciphertext do not belong together.
  no_resources = 5,   ///< Not enough memory, disk or levels.
  interrupted = 130,  ///< Whoever called asked to stop (128 + SIGINT).
};

/// What a caller may set to another value to do without an error: a hint. Each program and package has its own name for
/// it and says it behind the message.
enum class Setting { none, agreement, calibration, count, fit, function_error, keys, layout, memory, scratch };

/// The one exception type of Sotto. `what()` is a single line that says what is wrong and, where possible, what to do.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message, Setting setting = Setting::none)
      : std::runtime_error(message), code_(code), setting_(setting) {}

  [[nodiscard]] ErrorCode code() const noexcept { return code_; }
  [[nodiscard]] Setting setting() const noexcept { return setting_; }

 private:
  ErrorCode code_;
  Setting setting_;
};

}  // namespace sotto
