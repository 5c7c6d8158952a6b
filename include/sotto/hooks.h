#pragma once

#include <atomic>
#include <functional>
#include <string>

namespace sotto {

/// Where long work stands.
struct Progress {
  std::string stage;      ///< what is being done, e.g. "encryption" or "prediction"
  double done = 0;        ///< part of this stage, 0 .. 1
  std::string what = {};  ///< more about it, e.g. the layer; may be empty
};

/// Who follows long work; each member may be empty.
struct Hooks {
  /// One call at a time, from any thread. What it throws ends the work, which then leaves no output.
  std::function<void(const Progress&)> progress = {};
  /// What a user should know although the work goes on, a line at a time.
  std::function<void(const std::string&)> note = {};
  /// Set by someone: the work ends soon with Error{interrupted}.
  const std::atomic<bool>* stop = nullptr;
};

}  // namespace sotto
