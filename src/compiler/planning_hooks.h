#pragma once

#include <functional>
#include <string>

namespace sotto::compiler {

/// Where the making of a plan stands.
struct PlanningProgress {
  std::string stage;  ///< "ranges", "float model", "polynomials", "values", "packings", "precision" or "prediction"
  double done = 0;    ///< part of this stage, 0 .. 1
  std::string what;   ///< of "packings": the one that is looked at
};

/// Who follows the making of a plan; each may be empty.
struct PlanningHooks {
  std::function<void(const PlanningProgress&)> progress;  ///< one call at a time, from any thread; may throw to end it
  std::function<void(const std::string&)> note;           ///< what a user should know although the work goes on

  void stage(const char* name, double done = 0, const std::string& what = {}) const {
    if (progress) progress({name, done, what});
  }
  /// A callback for loops over images.
  [[nodiscard]] std::function<void(std::size_t)> images(const char* name, std::size_t count) const {
    stage(name);
    return
        [this, name, count](std::size_t done) { stage(name, static_cast<double>(done) / static_cast<double>(count)); };
  }
};

}  // namespace sotto::compiler
