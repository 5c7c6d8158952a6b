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

/// What a caller may change to avoid an error: a hint. Each program and package has its own name for it (`--memory`,
/// `memory=`) and puts it behind the message.
enum class Setting {
  none,            ///< nothing that can be set
  agreement,       ///< PlanOptions::agreement: the part of the labels that must agree
  calibration,     ///< PlanOptions::calibration: images to measure on
  count,           ///< PlanOptions::images
  fit,             ///< how pictures of another size are brought to that of the network
  function_error,  ///< PlanOptions::function_error: of polynomials for Relu and the like
  keys,            ///< whether keys that are there may be replaced
  layout,          ///< the order of an array's axes
  memory,          ///< PlanOptions::memory or ServerOptions::memory
  scratch,         ///< ServerOptions::scratch: a folder with more space
  signing_key,     ///< ServerOptions::signing_key: what signs results
};

/// The one exception type of Sotto. `what()` is a single line that says what is wrong and, where possible, what to do.
class Error : public std::runtime_error {
 public:
  /// `message` is one line without a full stop.
  Error(ErrorCode code, const std::string& message, Setting setting = Setting::none)
      : std::runtime_error(message), code_(code), setting_(setting) {}

  [[nodiscard]] ErrorCode code() const noexcept { return code_; }      ///< what kind of error it is
  [[nodiscard]] Setting setting() const noexcept { return setting_; }  ///< what to change, if anything

 private:
  ErrorCode code_;
  Setting setting_;
};

}  // namespace sotto
