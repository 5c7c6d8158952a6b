#include "cli/planning_lines.h"

namespace sotto::cli {

compiler::PlanningHooks PlanningLines::hooks() {
  return {.progress = [this](const compiler::PlanningProgress& p) { show(p); },
          .note = [this](const std::string& text) { note(text); }};
}

void PlanningLines::show(const compiler::PlanningProgress& p) {
  if (!line_ || stage_ != p.stage) {
    line_.reset();  // ends the one before
    line_ = std::make_unique<ProgressLine>(stage_ = p.stage);
  }
  line_->update(p.done, p.what);
}

void PlanningLines::note(const std::string& text) {
  line_.reset();
  print_note(text);
}

}  // namespace sotto::cli
