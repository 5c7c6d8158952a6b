#pragma once

#include <atomic>
#include <functional>
#include <string>

namespace sotto {

/// Where long work stands.
struct Progress {
  std::string stage;      ///< what is being done, e.g. "encryption" or "prediction"
  double done = 0;        ///< part of this stage, 0 to 1
  std::string what = {};  ///< more about it, e.g. the layer; may be empty
};

/// Who follows long work; each member may be empty.
struct Hooks {
  /// One call at a time, from any thread. An exception that it throws ends the work and reaches the caller; no output
  /// is left then, but for finished batches (Server::infer).
  std::function<void(const Progress&)> progress = {};
  /// What a user should know although the work goes on, a line at a time.
  std::function<void(const std::string&)> note = {};
  /// Once it is true the work ends soon with Error{interrupted}. It must outlive the work.
  const std::atomic<bool>* stop = nullptr;
};

}  // namespace sotto
