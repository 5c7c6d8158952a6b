#pragma once

#include <memory>
#include <string>

#include "cli/console.h"
#include "compiler/planning_hooks.h"

namespace sotto::cli {

/// The making of a plan on stderr: a progress line for every stage, notes between them.
class PlanningLines {
 public:
  /// Must not outlive this.
  [[nodiscard]] compiler::PlanningHooks hooks();

 private:
  void show(const compiler::PlanningProgress& p);
  void note(const std::string& text);

  std::string stage_;
  std::unique_ptr<ProgressLine> line_;
};

}  // namespace sotto::cli
